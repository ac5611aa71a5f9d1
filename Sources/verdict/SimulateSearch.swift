import Glibc
import Simulator

/// Runs seeds in child processes, several at a time, until one fails or all are done.
struct SimulateSearch {
    /// Options that every run has besides its seed.
    var options: RunOptions
    var extra: [String] = []
    var jobs: Int
    /// Stop starting runs after so many seconds.
    var seconds: Int?
    var isVerbose = true

    /// One child and the seeds it works on.
    private struct Job {
        var child: ChildProcess
        var next: UInt64
        var stride: UInt64
        /// The seed it has begun and not ended.
        var begun: UInt64?
    }

    /// - Parameters:
    ///   - first: the first seed.
    ///   - runs: how many seeds, counted up.
    ///   - each: called with each run as it ends; the search stops when it answers false.
    /// - Throws: `CommandFailure` if a child cannot be started or does not take its arguments.
    func run(
        from first: UInt64,
        runs: UInt64,
        each: (RunReport) -> Bool
    ) throws(CommandFailure) {
        let start = seconds.map { _ in time(nil) }
        let end = first + runs
        var jobs: [Job] = []
        let stride = UInt64(max(1, min(UInt64(self.jobs), runs)))
        for number in 0..<stride {
            let job = try begin(first + number, end: end, stride: stride)
            jobs.append(job)
        }
        var isStopping = false
        while !jobs.isEmpty {
            ChildProcess.wait(for: jobs.map(\.child), milliseconds: 200)
            if let start, let seconds, time(nil) - start >= seconds { isStopping = true }
            for number in jobs.indices.reversed() {
                var isOver = false
                while let line = jobs[number].child.nextLine() {
                    if isStopping, line.hasPrefix("begin") {
                        isOver = true
                        break
                    }
                    if let report = take(line, &jobs[number]), !each(report) {
                        for job in jobs { _ = job.child.stop() }
                        return
                    }
                }
                if isOver {
                    _ = jobs[number].child.stop()
                    jobs.remove(at: number)
                    continue
                }
                guard jobs[number].child.isSilent else { continue }
                var job = jobs.remove(at: number)
                let words = job.child.lastWords
                let how = job.child.end()
                guard let seed = job.begun else {
                    if case .exited(let status) = how, status > 1 {
                        throw CommandFailure(.usage, words)
                    }
                    continue
                }
                // It died in the middle of a run: a trap is a violation like any other.
                var report = RunReport(seed: seed)
                report.violation = Violation(checker: "trap", what: words, at: 0)
                if !each(report) {
                    for job in jobs { _ = job.child.stop() }
                    return
                }
                if job.next < end, !isStopping {
                    job = try begin(job.next, end: end, stride: stride)
                    jobs.append(job)
                }
            }
        }
    }

    private func begin(
        _ seed: UInt64,
        end: UInt64,
        stride: UInt64
    ) throws(CommandFailure) -> Job {
        var options = options
        options.seed = seed
        let runs = (end - seed + stride - 1) / stride
        let words =
            ["simulate", "--worker", "--stride", "\(stride)", "--runs", "\(runs)"]
            + options.arguments + extra
        return Job(child: try ChildProcess(words), next: seed, stride: stride, begun: nil)
    }

    private func take(_ line: String, _ job: inout Job) -> RunReport? {
        if line.hasPrefix("begin\t"), let seed = UInt64(line.dropFirst(6)) {
            job.begun = seed
            job.next = seed + job.stride
            return nil
        }
        guard let report = RunReport(line: line) else { return nil }
        job.begun = nil
        return report
    }

    /// One run, in a child; `nil` violation if it is clean.
    static func once(_ options: RunOptions, extra: [String] = []) throws(CommandFailure)
        -> RunReport
    {
        var result = RunReport(seed: options.seed)
        let search = SimulateSearch(options: options, extra: extra, jobs: 1)
        try search.run(from: options.seed, runs: 1) { report in
            result = report
            return false
        }
        return result
    }
}
