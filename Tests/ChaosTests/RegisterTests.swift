import Chaos
import Testing

@Suite("the check of write-once registers")
struct RegisterTests {
    static func commit(
        _ wanted: Outcome,
        _ out: Outcome?,
        _ invoked: UInt64,
        _ returned: UInt64?,
        _ status: RegisterOperation.Status = .ok
    ) -> RegisterOperation {
        RegisterOperation(
            client: "c",
            op: .commit,
            attempt: "a",
            outcomeIn: wanted,
            outcomeOut: out,
            invoked: invoked,
            returned: returned,
            status: status
        )
    }
    static func read(_ out: Outcome?, _ invoked: UInt64, _ returned: UInt64) -> RegisterOperation {
        RegisterOperation(
            client: "r",
            op: .read,
            attempt: "a",
            outcomeIn: nil,
            outcomeOut: out,
            invoked: invoked,
            returned: returned,
            status: .ok
        )
    }

    @Test("a history that has an order is taken")
    func good() {
        #expect(WriteOnceRegister.violation(of: []) == nil)
        #expect(
            WriteOnceRegister.violation(of: [
                Self.read(nil, 0, 9), Self.commit(.verified, .verified, 1, 5),
                Self.commit(.rejected, .verified, 2, 6), Self.read(.verified, 2, 3),
            ]) == nil
        )
    }

    @Test("two values, a lost value, one from nowhere and an empty commit are objected to")
    func bad() {
        let verified = Self.commit(.verified, .verified, 1, 5)
        let objects: [[RegisterOperation]] = [
            [verified, Self.read(.rejected, 2, 3)],
            [verified, Self.read(nil, 6, 7)],
            [Self.read(.verified, 0, 1), Self.commit(.verified, .verified, 2, 3)],
            [Self.commit(.rejected, .verified, 1, 5)],
            [Self.commit(.verified, .verified, 1, 5, .fail), Self.read(.verified, 6, 7)],
            [Self.commit(.verified, nil, 1, 5)],
        ]
        for history in objects { #expect(WriteOnceRegister.violation(of: history) != nil) }
    }

    @Test("what nobody knows the end of may have come about, or not")
    func unknown() {
        let lost = Self.commit(.verified, nil, 1, nil, .unknown)
        #expect(WriteOnceRegister.violation(of: [lost, Self.read(nil, 50, 60)]) == nil)
        #expect(WriteOnceRegister.violation(of: [lost, Self.read(.verified, 50, 60)]) == nil)
        #expect(
            WriteOnceRegister.violation(of: [
                lost, Self.read(.verified, 50, 60), Self.read(nil, 61, 70),
            ]) != nil
        )
    }

    @Test("it says just what a search through all orders says")
    func exact() {
        var random = ChaosRandom(seed: 7, stream: "register")
        let values: [Outcome] = [.verified, .rejected]
        var counts = [0, 0]
        for _ in 0..<20_000 {
            var history: [RegisterOperation] = []
            for _ in 0..<random.between(1, 5) {
                let invoked = UInt64(random.below(8))
                let returned = invoked + UInt64(random.below(5))
                let out = random.below(3) == 0 ? nil : random.pick(values)
                switch random.below(5) {
                case 0, 1: history.append(Self.read(out, invoked, returned))
                case 2:
                    history.append(Self.commit(random.pick(values), nil, invoked, nil, .unknown))
                default:
                    history.append(Self.commit(random.pick(values), out, invoked, returned))
                }
            }
            let isGood = WriteOnceRegister.violation(of: history) == nil
            #expect(isGood == Self.hasOrder(history), "\(history.map(\.json))")
            counts[isGood ? 1 : 0] += 1
        }
        #expect(counts[0] > 1000 && counts[1] > 1000, "\(counts): one side is hardly tried")
    }

    /// Tries every order that fits the times; operations of unknown end may be left out.
    private static func hasOrder(_ history: [RegisterOperation]) -> Bool {
        func place(_ left: [RegisterOperation], _ value: Outcome?) -> Bool {
            if left.allSatisfy({ $0.status == .unknown }) { return true }
            for (number, operation) in left.enumerated() {
                // Nothing that is left may have ended before this one began.
                let isFree = left.allSatisfy { ($0.returned ?? .max) >= operation.invoked }
                guard isFree else { continue }
                var next = value
                if operation.op == .commit { next = value ?? operation.outcomeIn }
                let fits = operation.status == .unknown || operation.outcomeOut == next
                guard fits else { continue }
                var rest = left
                rest.remove(at: number)
                if place(rest, next) { return true }
            }
            return false
        }
        return place(history, nil)
    }
}
