import Testing
import Verification

@Suite("the digest of the state")
struct StateDigestTests {
    /// Applies opens, callbacks and a mark, and gives the mark's digest.
    private func digest(
        callbacks: Int,
        skipping skipped: Int? = nil,
        state: (inout StateMachine) -> Void = { _ in }
    ) -> [UInt8]? {
        var script = Script()
        var machine = StateMachine()
        var index: UInt64 = 0
        func next() -> EntryIndex {
            index += 1
            return EntryIndex(index)
        }
        let time = LogTime(milliseconds: 1_000)
        _ = machine.apply(.defineFlow(Script.code), at: next(), time: time)
        _ = machine.apply(.open(script.opening()), at: next(), time: time)
        for number in 0..<callbacks {
            let callback = Callback(
                attempt: Script.id,
                key: CallbackKey(logged: "verdict/key/\(number)"),
                provider: "verdict",
                call: "CA1",
                event: .answered,
                sequence: nil,
                digits: nil,
                status: nil,
                outcome: nil,
                channel: "voice",
                occurredAt: nil,
                origin: script.origin(node: 1, region: "r")
            )
            if number == skipped {
                machine.applyNothing(at: next(), time: time)
            } else {
                _ = machine.apply(.callback(callback), at: next(), time: time)
            }
        }
        let mark = next()
        _ = machine.apply(.checkDigest(nil), at: mark, time: time)
        return machine.digest.mark(at: mark)?.digest
    }

    @Test("the same log gives the same digest, whatever its length against a block's")
    func equal() {
        for count in [0, 1, 60, 61, 200] {
            let first = digest(callbacks: count)
            #expect(first?.count == DigestMark.byteCount)
            #expect(first == digest(callbacks: count))
        }
        #expect(digest(callbacks: 10) != digest(callbacks: 11))
    }

    @Test("an entry that was not applied shows, wherever it was")
    func missing() {
        let whole = digest(callbacks: 120)
        for skipped in [0, 59, 119] { #expect(digest(callbacks: 120, skipping: skipped) != whole) }
    }

    @Test("a mark that differs from the one agreed is reported once, with both")
    func mismatch() {
        var machine = StateMachine()
        let time = LogTime(milliseconds: 5)
        _ = machine.apply(.defineFlow(Script.code), at: EntryIndex(1), time: time)
        _ = machine.apply(.checkDigest(nil), at: EntryIndex(2), time: time)
        let own = machine.digest.mark(at: EntryIndex(2))
        _ = machine.apply(.checkDigest(own), at: EntryIndex(3), time: time)
        #expect(machine.mismatch == nil)
        let other = DigestMark(index: EntryIndex(3), digest: [UInt8](repeating: 9, count: 32))
        _ = machine.apply(.checkDigest(other), at: EntryIndex(4), time: time)
        #expect(machine.mismatch?.agreed == other)
        #expect(machine.mismatch?.at == EntryIndex(4))
        #expect(machine.mismatch?.own == machine.digest.mark(at: EntryIndex(3))?.digest)
        // One that is not kept is no evidence.
        let gone = DigestMark(index: EntryIndex(1), digest: other.digest)
        _ = machine.apply(.checkDigest(gone), at: EntryIndex(5), time: time)
        #expect(machine.counters.uncheckedDigests == 1)
        #expect(machine.counters.checkedDigests == 2)
    }

    @Test("checks are due while something was not compared, and then no more")
    func due() {
        var machine = StateMachine()
        let time = LogTime(milliseconds: 5)
        #expect(!machine.digest.isCheckDue)
        _ = machine.apply(.defineFlow(Script.code), at: EntryIndex(1), time: time)
        #expect(machine.digest.isCheckDue)
        _ = machine.apply(.checkDigest(nil), at: EntryIndex(2), time: time)
        #expect(machine.digest.isCheckDue)
        let mark = machine.digest.mark(at: EntryIndex(2))
        _ = machine.apply(.checkDigest(mark), at: EntryIndex(3), time: time)
        #expect(!machine.digest.isCheckDue)
        #expect(machine.digest.marks.map(\.index.number) == [2, 3])
    }

    @Test("a digest goes on from what was saved of it")
    func saved() throws {
        var machine = StateMachine()
        let time = LogTime(milliseconds: 5)
        for index in 1...40 as ClosedRange<UInt64> {
            let command: Command =
                index.isMultiple(of: 9) ? .checkDigest(nil) : .defineFlow(Script.code)
            _ = machine.apply(command, at: EntryIndex(index), time: time)
        }
        var bytes: [UInt8] = []
        machine.digest.save(into: &bytes)
        let digest = try StateDigest(saved: bytes)
        var again: [UInt8] = []
        digest.save(into: &again)
        #expect(again == bytes)
        #expect(digest.marks == machine.digest.marks)
        #expect(throws: CommandDecodeError.self) { try StateDigest(saved: bytes.dropLast()) }
    }
}
