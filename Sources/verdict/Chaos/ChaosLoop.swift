import Reactor

/// Something that waits for its descriptor in a `ChaosLoop`.
protocol ChaosWatcher: AnyObject {
    func isReady(_ event: Poller.Event)
}

/// One thread for all of a run: load, relays, faults and timers.
final class ChaosLoop {
    private struct Timer {
        var at: UInt64
        var number: UInt64
        var action: () -> Void
    }

    private var poller: Poller
    private var events: [Poller.Event] = []
    /// Who waits, by token; a token is never used twice.
    private var watchers: [UInt64: any ChaosWatcher] = [:]
    private var nextToken: UInt64 = 1
    /// A binary heap by time, then by number.
    private var timers: [Timer] = []
    private var nextTimer: UInt64 = 0
    let start = Clock.monotonic()
    /// What this process cannot go on without.
    private(set) var failure: SystemError?

    init() throws(SystemError) { poller = try Poller() }

    /// Nanoseconds since the run began.
    var now: UInt64 { Clock.monotonic() - start }

    func fail(_ error: SystemError) { failure = failure ?? error }

    // MARK: Descriptors

    /// - Returns: the token to change or end it with.
    func watch(
        _ descriptor: borrowing FileDescriptor,
        _ interest: Poller.Interest,
        _ watcher: any ChaosWatcher
    ) -> UInt64 {
        let token = nextToken
        nextToken += 1
        do throws(SystemError) {
            try poller.add(descriptor, token: token, interest: interest)
            watchers[token] = watcher
        } catch {
            fail(error)
        }
        return token
    }

    func change(
        _ token: UInt64,
        _ descriptor: borrowing FileDescriptor,
        _ interest: Poller.Interest
    ) {
        do throws(SystemError) {
            try poller.modify(descriptor, token: token, interest: interest)
        } catch {
            fail(error)
        }
    }

    func unwatch(_ token: UInt64, _ descriptor: borrowing FileDescriptor) {
        if watchers.removeValue(forKey: token) != nil { poller.remove(descriptor) }
    }

    // MARK: Time

    /// Does something later, once.
    func after(milliseconds: Int, _ action: @escaping () -> Void) {
        at(now + UInt64(max(0, milliseconds)) * 1_000_000, action)
    }

    /// Does something at a time of the run, in nanoseconds.
    func at(_ time: UInt64, _ action: @escaping () -> Void) {
        timers.append(Timer(at: time, number: nextTimer, action: action))
        nextTimer += 1
        var place = timers.count - 1
        while place > 0, isEarlier(place, (place - 1) / 2) {
            timers.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private func isEarlier(_ a: Int, _ b: Int) -> Bool {
        (timers[a].at, timers[a].number) < (timers[b].at, timers[b].number)
    }

    private func takeDue(_ now: UInt64) -> (() -> Void)? {
        guard let first = timers.first, first.at <= now else { return nil }
        timers.swapAt(0, timers.count - 1)
        timers.removeLast()
        var place = 0
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < timers.count && isEarlier(child, least) {
                least = child
            }
            if least == place { break }
            timers.swapAt(place, least)
            place = least
        }
        return first.action
    }

    /// Runs until a condition holds or the time is over.
    ///
    /// - Returns: whether the condition holds.
    @discardableResult
    func run(
        until end: UInt64 = .max,
        _ condition: () -> Bool
    ) throws(SystemError) -> Bool {
        while true {
            let now = now
            while let action = takeDue(now) { action() }
            if let failure { throw failure }
            if condition() { return true }
            if now >= end { return false }
            let next = min(timers.first?.at ?? .max, end, now + 20_000_000)
            try poller.wait(nanoseconds: next > now ? next - now : 0, into: &events)
            for event in events { watchers[event.token]?.isReady(event) }
        }
    }
}
