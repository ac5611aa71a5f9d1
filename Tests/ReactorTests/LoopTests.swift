import Glibc
import Reactor
import Testing

@Suite("what a loop waits for")
struct LoopTests {
    @Test("a wait ends when its time is over, to less than a millisecond if asked")
    func timeout() throws {
        var poller = try Poller()
        var events: [Poller.Event] = []
        let before = Clock.monotonic()
        try poller.wait(nanoseconds: 300_000, into: &events)
        let spent = Clock.monotonic() - before
        #expect(events.isEmpty)
        #expect(spent >= 300_000)
        try poller.wait(nanoseconds: 0, into: &events)
        #expect(events.isEmpty)
    }

    @Test("interest can be changed and withdrawn")
    func interest() throws {
        let mailbox = try Mailbox<Int>()
        var poller = try Poller()
        var events: [Poller.Event] = []
        let event = mailbox.event
        mailbox.post(1)
        try poller.add(event.descriptor, token: 5, interest: [])
        try poller.wait(nanoseconds: 0, into: &events)
        #expect(events.isEmpty)
        try poller.modify(event.descriptor, token: 6, interest: .read)
        try poller.wait(nanoseconds: 0, into: &events)
        #expect(events.map(\.token) == [6])
        try poller.wait(nanoseconds: 0, into: &events)
        #expect(events.map(\.token) == [6], "told again until it is read")
        poller.remove(event.descriptor)
        try poller.wait(nanoseconds: 0, into: &events)
        #expect(events.isEmpty)
    }

    @Test("all that is posted arrives once and in each thread's order, with a wake-up")
    func mailbox() throws {
        let waiter = try Waiter<Int>()
        // Threads of their own: tasks may find all threads of their pool busy with other tests.
        for thread in 0..<4 {
            try runOnThread { for number in 0..<500 { waiter.post(thread * 1_000 + number) } }
        }
        let found = try waiter.wait(for: 2_000)
        #expect(found.count == 2_000)
        for thread in 0..<4 {
            #expect(
                found.filter { $0 / 1_000 == thread }
                    == (0..<500).map { thread * 1_000 + $0 }
            )
        }
    }

    @Test("an emptied mailbox does not wake, and the next post does")
    func wakeUps() throws {
        let mailbox = try Mailbox<Int>()
        let event = mailbox.event
        var poller = try Poller()
        try poller.add(event.descriptor, token: 1, interest: .read)
        var events: [Poller.Event] = []
        var messages = [0]
        for round in 1...3 {
            mailbox.post(round)
            mailbox.post(round)
            try poller.wait(nanoseconds: 0, into: &events)
            #expect(events.count == 1)
            mailbox.drain(into: &messages)
            try poller.wait(nanoseconds: 0, into: &events)
            #expect(events.isEmpty)
        }
        #expect(messages == [0, 1, 1, 2, 2, 3, 3])
    }

    @Test("clocks do not go back and agree with the calendar")
    func clocks() {
        let first = Clock.monotonic()
        let second = Clock.monotonic()
        #expect(second >= first)
        #expect(Clock.wallMilliseconds() > 1_700_000_000_000)
    }

    @Test("signals are read from a descriptor instead of ending the process")
    func signals() throws {
        var before = sigset_t()
        unsafe _ = pthread_sigmask(SIG_BLOCK, nil, &before)
        defer { unsafe _ = pthread_sigmask(SIG_SETMASK, &before, nil) }
        let source = try SignalSource([SignalSource.terminate, SignalSource.hangUp])
        #expect(source.next() == nil)
        _ = pthread_kill(pthread_self(), SIGHUP)
        _ = pthread_kill(pthread_self(), SIGTERM)
        let found = [source.next(), source.next()]
        #expect(Set(found) == [SIGHUP, SIGTERM])
        let none = source.next()
        #expect(none == nil)
    }

    @Test("lines are written whole")
    func lines() throws {
        var ends: [Int32] = [-1, -1]
        unsafe _ = pipe(&ends)
        let reading = FileDescriptor(owning: ends[0])
        do {
            let writing = FileDescriptor(owning: ends[1])
            let writer = LineWriter(descriptor: writing.number)
            writer.write(Array("one\n".utf8))
            writer.write([])
            writer.write(Array("two\n".utf8))
        }
        var buffer = [UInt8](repeating: 0, count: 100)
        let count = unsafe read(reading.number, &buffer, 100)
        #expect(buffer.prefix(max(0, count)) == Array("one\ntwo\n".utf8)[...])
        LineWriter(descriptor: -1).write([1])  // lost, and nothing else happens
    }
}
