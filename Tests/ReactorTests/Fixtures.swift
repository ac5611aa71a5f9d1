import FoundationEssentials
import Glibc
import Journal
import Reactor
import Testing

/// A directory that is gone with its files when the value goes.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let manager = FileManager.default
        path = manager.temporaryDirectory.path + "/verdict-test-\(UUID().uuidString)"
        try manager.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        // Nothing of the test's is left to report to.
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// What other threads have told, for a test that waits for it.
final class Waiter<Message: Sendable>: Sendable {
    private let mailbox: Mailbox<Message>
    init() throws { mailbox = try Mailbox() }

    func post(_ message: Message) { mailbox.post(message) }

    /// Waits for as many messages as are asked for; may return more.
    func wait(for count: Int) throws -> [Message] {
        var poller = try Poller()
        try poller.add(mailbox.event.descriptor, token: 1, interest: .read)
        var found: [Message] = []
        var events: [Poller.Event] = []
        while found.count < count {
            try poller.wait(nanoseconds: 20_000_000_000, into: &events)
            try #require(!events.isEmpty, "only \(found) after 20 seconds")
            mailbox.drain(into: &found)
        }
        return found
    }
}

/// Holds a thread up until it is opened.
final class Gate: Sendable {
    private let reading: FileDescriptorBox
    private let writing: FileDescriptorBox

    init() {
        var ends: [Int32] = [-1, -1]
        unsafe _ = pipe(&ends)
        reading = FileDescriptorBox(FileDescriptor(owning: ends[0]))
        writing = FileDescriptorBox(FileDescriptor(owning: ends[1]))
    }

    func pass() {
        var byte: UInt8 = 0
        unsafe _ = read(reading.descriptor.number, &byte, 1)
    }

    func open() {
        var byte: UInt8 = 1
        unsafe _ = write(writing.descriptor.number, &byte, 1)
    }
}

/// Runs work on a thread of its own, which nobody waits for.
func runOnThread(_ work: @escaping @Sendable () -> Void) throws {
    final class Work: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    let argument = unsafe Unmanaged.passRetained(Work(work))
    var thread = pthread_t()
    let code = unsafe pthread_create(
        &thread,
        nil,
        { argument in
            guard let argument = unsafe argument else { return nil }
            unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run()
            return nil
        },
        argument.toOpaque()
    )
    try #require(code == 0)
    pthread_detach(thread)
}
