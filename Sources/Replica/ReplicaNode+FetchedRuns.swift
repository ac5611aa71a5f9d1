import Journal
import Raft
import Store

/// A run that was fetched, whole or in part, for a checkpoint that did not come to be: the next try goes on with it.
///
/// A number that a published checkpoint gave a run is given to no other one in that directory, so they say what is in it.
struct FetchedRun {
    var source: NodeID
    var directory: DirectoryID?
    /// As the source has it, and under the number that it has here.
    var theirs: Run
    var ours: Run
    /// Bytes that are here, durable.
    var count: Int
    /// How far those were looked through.
    var scan: RunScan?
}

/// What a fetch leaves to the next one.
extension ReplicaNode {
    /// What was fetched in vain is of use to the next try, which comes soon or not at all.
    private static let fetchedPatience = Duration.seconds(120)

    /// What is here already of a run.
    mutating func takeFetched(_ theirs: Run, from source: NodeID) -> FetchedRun? {
        let directory = directory(of: source)
        guard
            let at = pulling.fetched.firstIndex(where: {
                $0.source == source && $0.directory == directory && $0.theirs == theirs
            })
        else { return nil }
        return pulling.fetched.remove(at: at)
    }

    /// What was fetched in vain goes from the disk.
    mutating func forgetFetched() {
        for run in pulling.fetched { store.remove(run.ours.file) }
        pulling.fetched = []
    }

    mutating func keepRuns(of install: Installing, keepsPart: Bool) {
        guard let theirs = install.theirs, let ours = install.ours else { return }
        var parts: [Int: (count: Int, scan: RunScan?)] = [:]
        for at in install.here where !install.unsound.contains(at) {
            parts[at] = (theirs.runs[at].bytes, nil)
        }
        if let rest = install.rest { parts[rest.at] = (rest.run.count, rest.run.scan) }
        var begun = install.here
        switch install.phase {
        case .manifest: break
        case .run(let at, let offset):
            guard offset > 0 else { break }
            begun.insert(at)
            // A piece that waits for the disk is not on it, but was looked through.
            if keepsPart, install.batch == nil, !install.unsound.contains(at) {
                parts[at] = (offset, install.scan)
            }
        case .publishing:
            // Where that failed, the disk may have the new manifest and need them all.
            if !keepsPart { return }
        }
        for at in begun where parts[at] == nil { store.remove(ours.runs[at].file) }
        for at in parts.keys.sorted() {
            guard let part = parts[at] else { continue }
            pulling.fetched.append(
                FetchedRun(
                    source: install.source,
                    directory: directory(of: install.source),
                    theirs: theirs.runs[at],
                    ours: ours.runs[at],
                    count: part.count,
                    scan: part.scan
                )
            )
        }
        pulling.fetchedUntil = lastTurnAt.advanced(by: ReplicaNode.fetchedPatience)
    }
}
