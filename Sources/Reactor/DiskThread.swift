import CLinux
import Glibc
package import Journal
import Synchronization

/// What has become of a batch or a read.
package enum DiskCompletion: Sendable {
    /// All steps of a batch are done, or the first that failed has stopped it; with the time
    /// spent in its syncs and in all its steps.
    case batch(
        number: UInt64,
        result: Result<Void, DiskError>,
        syncNanoseconds: UInt64,
        totalNanoseconds: UInt64
    )
    case read(number: UInt64, result: Result<[UInt8], DiskError>)
    /// There was no room for the file that a batch makes first: nothing of it was done
    /// (`DiskBatch.isUntouched`), and the thread goes on.
    case noRoom(number: UInt64, DiskError)
}

/// The thread on which a node's files are written and read.
///
/// After a batch has failed, nothing on the disk may be trusted that was not durable before
/// (`DiskError`): the failure is told once, no later batch is touched or answered, and reads are
/// answered with the failure.
package final class DiskThread: Sendable {
    private let queue: DiskQueue
    private let thread: Mutex<pthread_t?>

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - disk: the files; no other owner should change them from here on.
    ///   - endsAtFailure: whether a failed batch is the last one, as for the log. Otherwise the next
    ///     ones are performed all the same, and each is answered.
    ///   - completion: called on the disk's thread, once for each read and, up to the first failure,
    ///     for each batch; it should only pass on, for instance to a `Mailbox`.
    /// - Throws: `SystemError` if there can be no more threads or descriptors.
    package init(
        disk: consuming FileDisk,
        endsAtFailure: Bool = true,
        completion: @escaping @Sendable (DiskCompletion) -> Void
    ) throws(SystemError) {
        let queue = try DiskQueue()
        self.queue = queue
        let worker = DiskWorker(
            queue: queue,
            disk: disk,
            endsAtFailure: endsAtFailure,
            completion: completion
        )
        var started = pthread_t()
        let argument = unsafe Unmanaged.passRetained(worker)
        let code = unsafe pthread_create(
            &started,
            nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<DiskWorker>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            argument.toOpaque()
        )
        guard code == 0 else {
            unsafe argument.release()
            throw SystemError("start the disk thread", code: code)
        }
        thread = Mutex(started)
    }

    deinit { stop() }

    /// Has a batch performed after all that were submitted before.
    package func submit(_ batch: DiskBatch) { queue.add { $0.batches.append(batch) } }

    /// Has bytes read, before the next batch that is not yet under way.
    package func submit(_ read: DiskRead) { queue.add { $0.reads.append(read) } }

    /// Waits until all that was submitted is done, and ends the thread.
    package func stop() {
        queue.add { $0.isStopping = true }
        let running = thread.withLock { thread in
            let running = thread
            thread = nil
            return running
        }
        if let running { _ = pthread_join(running, nil) }
    }

    /// Leaves the thread to itself, for a process that ends while a step hangs: what was submitted
    /// may or may not be done.
    package func abandon() {
        let running = thread.withLock { thread in
            let running = thread
            thread = nil
            return running
        }
        if let running { _ = pthread_detach(running) }
    }
}

/// What waits for the disk thread.
private final class DiskQueue: Sendable {
    struct Waiting: Sendable {
        var batches: [DiskBatch] = []
        var reads: [DiskRead] = []
        var isStopping = false
        /// The worker has seen an empty queue and waits, or is about to.
        var isIdle = false
        /// A read was taken last: it is a batch's turn, so that neither holds up the other.
        var tookRead = false
    }

    enum Job {
        case batch(DiskBatch)
        case read(DiskRead)
        case stop
    }

    private let waiting = Mutex(Waiting())
    /// Blocks who reads it until something was added.
    private let event: FileDescriptor

    init() throws(SystemError) {
        let number = eventfd(0, Int32(EFD_CLOEXEC))
        guard number >= 0 else { throw SystemError("eventfd", code: errno) }
        event = FileDescriptor(owning: number)
    }

    func add(_ change: (inout Waiting) -> Void) {
        let wasIdle = waiting.withLock { waiting in
            change(&waiting)
            let wasIdle = waiting.isIdle
            waiting.isIdle = false
            return wasIdle
        }
        guard wasIdle else { return }
        var one: UInt64 = 1
        let wrote = uninterrupted { unsafe write(event.number, &one, 8) }
        guard wrote == 8 else { fatalError("invariant broken: eventfd not writable, \(errno)") }
    }

    /// The next thing to do; sleeps until there is one.
    func next() -> Job {
        while true {
            if let job = take() { return job }
            var count: UInt64 = 0
            let got = uninterrupted { unsafe read(event.number, &count, 8) }
            guard got == 8 else { fatalError("invariant broken: eventfd not readable, \(errno)") }
        }
    }

    private func take() -> Job? {
        waiting.withLock { waiting in
            let takesRead =
                !waiting.reads.isEmpty && (waiting.batches.isEmpty || !waiting.tookRead)
            waiting.tookRead = takesRead
            if takesRead { return .read(waiting.reads.removeFirst()) }
            if !waiting.batches.isEmpty { return .batch(waiting.batches.removeFirst()) }
            if waiting.isStopping { return .stop }
            waiting.isIdle = true
            return nil
        }
    }
}

/// What runs on the disk thread; no other thread touches its state.
private final class DiskWorker {
    private let queue: DiskQueue
    private var disk: FileDisk
    private let completion: @Sendable (DiskCompletion) -> Void
    private let endsAtFailure: Bool
    private var failure: DiskError?

    init(
        queue: DiskQueue,
        disk: FileDisk,
        endsAtFailure: Bool,
        completion: @escaping @Sendable (DiskCompletion) -> Void
    ) {
        self.queue = queue
        self.disk = disk
        self.endsAtFailure = endsAtFailure
        self.completion = completion
    }

    func run() {
        // Signals are the loop's.
        var all = sigset_t()
        unsafe _ = sigfillset(&all)
        unsafe _ = pthread_sigmask(SIG_BLOCK, &all, nil)
        while true {
            switch queue.next() {
            case .batch(let batch): perform(batch)
            case .read(let read): perform(read)
            case .stop: return
            }
        }
    }

    private func perform(_ batch: DiskBatch) {
        guard failure == nil else { return }
        let start = Clock.monotonic()
        var syncNanoseconds: UInt64 = 0
        var result: Result<Void, DiskError> = .success(())
        var position = 0
        do throws(DiskError) {
            for operation in batch.operations {
                let before = Clock.monotonic()
                try disk.perform(operation)
                switch operation {
                case .sync, .syncDirectory: syncNanoseconds += Clock.monotonic() - before
                default: break
                }
                position += 1
            }
        } catch {
            if endsAtFailure, batch.isUntouched(by: error, at: position) {
                completion(.noRoom(number: batch.number, error))
                return
            }
            if endsAtFailure { failure = error }
            result = .failure(error)
        }
        completion(
            .batch(
                number: batch.number,
                result: result,
                syncNanoseconds: syncNanoseconds,
                totalNanoseconds: Clock.monotonic() - start
            )
        )
    }

    private func perform(_ read: DiskRead) {
        let result: Result<[UInt8], DiskError>
        if let failure {
            result = .failure(failure)
        } else {
            do throws(DiskError) {
                result = .success(
                    try disk.read(read.file, at: read.offset, count: read.count)
                )
            } catch {
                result = .failure(error)
            }
        }
        completion(.read(number: read.number, result: result))
    }
}
