import CLinux
import Glibc
import Synchronization

/// Messages from other threads to the loop.
///
/// Any thread may post; the loop watches `descriptor` and drains. It is woken once for all that is
/// posted before it drains.
package final class Mailbox<Message: Sendable>: Sendable {
    private let queue = Mutex<[Message]>([])
    /// Becomes readable when something was posted.
    package let event: FileDescriptorBox

    package init() throws(SystemError) {
        let number = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard number >= 0 else { throw SystemError("eventfd", code: errno) }
        event = FileDescriptorBox(FileDescriptor(owning: number))
    }

    package func post(_ message: Message) {
        let wasEmpty = queue.withLock { queue in
            queue.append(message)
            return queue.count == 1
        }
        guard wasEmpty else { return }
        var one: UInt64 = 1
        _ = unsafe write(event.descriptor.number, &one, 8)
    }

    /// Moves all that was posted to the end of `messages`.
    package func drain(into messages: inout [Message]) {
        var count: UInt64 = 0
        _ = unsafe read(event.descriptor.number, &count, 8)
        queue.withLock { queue in
            messages.append(contentsOf: queue)
            queue.removeAll(keepingCapacity: true)
        }
    }
}
