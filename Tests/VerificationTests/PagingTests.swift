import Testing
import Verification

/// Random commands for many attempts, the same for whoever has the seed.
private struct Traffic: ~Copyable {
    var script = Script()
    var random: SeededGenerator
    private var sent: [Callback] = []

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func next() -> Command {
        script.advance(milliseconds: .random(in: 0...3000, using: &random))
        let number = UInt64.random(in: 0..<40, using: &random)
        // Some carry a time, which may lie ahead of all that happens to them.
        let name = number % 3 == 0 ? Script.uuid(number * 60_000) : "\(number)"
        let id = Script.attempt("va_\(name)")
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1:
            return .open(
                script.opening(id, expiresIn: UInt32.random(in: 5...200, using: &random))
            )
        case 2:
            guard Int.random(in: 0..<8, using: &random) == 0 else { return .tick }
            // So short that most attempts are compact, and many forgotten, while it runs.
            return .settings(
                RetentionSettings(
                    retentionSeconds: UInt64.random(in: 10...100, using: &random),
                    forgetAfterSeconds: Bool.random(using: &random)
                        ? UInt64.random(in: 100...200, using: &random) : nil
                )
            )
        case 3:
            guard let again = sent.randomElement(using: &random) else { return .tick }
            return .callback(script.again(again))
        case 4:
            let items = sent.suffix(3).map {
                RepeatBatch.Item(
                    attempt: $0.attempt,
                    key: $0.key,
                    count: 2,
                    lastAt: WallTime(milliseconds: 9)
                )
            }
            let request = script.origin().request
            return .repeats(RepeatBatch(request: request, items: items))
        default:
            let event = EventKind.allCases.filter { $0 != .poll }.randomElement(using: &random)
            let callback = script.callback(
                event ?? .ringing,
                attempt: id,
                call: "CA\(Int.random(in: 0..<2, using: &random))",
                sequence: UInt64.random(in: 0..<4, using: &random),
                digits: Bool.random(using: &random) ? Script.right : Script.wrong,
                status: .busy,
                outcome: .verified
            )
            sent.append(callback)
            return .callback(callback)
        }
    }
}

@Suite("attempts that are not in memory")
struct PagingTests {
    /// Applies traffic to a machine that is paged and to one that is not.
    private func play(
        seed: UInt64,
        hashBits: Int,
        steps: Int,
        _ page: (inout StateMachine, TestStore, inout SeededGenerator) throws -> Void
    ) rethrows {
        var traffic = Traffic(seed: seed)
        var random = SeededGenerator(seed: seed &+ 1)
        let store = TestStore()
        let hash = AttemptHash(key: seed, bits: hashBits)
        var paged = StateMachine(hash: hash)
        paged.setReader { store.read($0) }
        var plain = StateMachine()
        for step in 1...steps {
            let command: Command =
                step == 1
                ? .defineFlow(Script.code)
                : step == 2 ? .defineFlow(Script.confirm) : traffic.next()
            let (index, time) = (EntryIndex(UInt64(step)), traffic.script.time)
            let expected = plain.apply(command, at: index, time: time)
            let applied = paged.apply(command, at: index, time: time)
            guard applied == expected, paged.nextDeadline == plain.nextDeadline else {
                Issue.record("seed \(seed), step \(step): \(applied), expected \(expected)")
                return
            }
            try page(&paged, store, &random)
            guard step % 20 == 0 || step == steps else { continue }
            guard paged.canonicalBytes == plain.canonicalBytes, paged.counters == plain.counters
            else {
                Issue.record("seed \(seed), step \(step): the states differ")
                return
            }
        }
    }

    @Test("answer like those in memory, whatever is evicted when, and if their hashes collide")
    func evictions() {
        for seed in 0..<40 as Range<UInt64> {
            play(seed: seed, hashBits: seed % 2 == 0 ? 64 : 2, steps: 300) {
                machine,
                store,
                random in
                switch Int.random(in: 0..<6, using: &random) {
                case 0 where !machine.isCheckpointUnderWay:
                    store.begin(&machine, encoding: Int.random(in: 0..<2000, using: &random))
                case 1 where machine.isCheckpointUnderWay: store.finish(&machine)
                case 2 where machine.isCheckpointUnderWay && seed % 3 == 0:
                    store.abandon(&machine)
                case 3: machine.evict(keeping: Int.random(in: 0..<9000, using: &random))
                default: machine.evict(keeping: 0)
                }
            }
        }
    }

    @Test("a checkpoint is the state at the entry at which it was begun, whatever came after")
    func restored() throws {
        for seed in 100..<130 as Range<UInt64> {
            var begun: [UInt8] = []
            let hash = AttemptHash(key: seed, bits: seed % 2 == 0 ? 64 : 2)
            try play(seed: seed, hashBits: hash.bits, steps: 260) { machine, store, random in
                if !machine.isCheckpointUnderWay {
                    begun = machine.canonicalBytes
                    store.begin(&machine, encoding: Int.random(in: 0..<1500, using: &random))
                } else if Int.random(in: 0..<8, using: &random) == 0 {
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        store.abandon(&machine)
                        return
                    }
                    store.finish(&machine)
                    for _ in 0..<4 { machine.evict(keeping: 0) }
                    let restored = try store.restored(hash: hash)
                    let bytes = restored.canonicalBytes
                    if bytes != begun { Issue.record("seed \(seed): the restored state differs") }
                }
            }
        }
    }

    @Test("a settled attempt that is asked for without being loaded stops the process")
    func unloaded() async {
        await #expect(processExitsWith: .failure) {
            let store = TestStore()
            var machine = StateMachine()
            var script = Script()
            _ = machine.apply(.defineFlow(Script.code), at: EntryIndex(1), time: script.time)
            _ = machine.apply(.open(script.opening()), at: EntryIndex(2), time: script.time)
            let cancel = script.callback(.cancel, key: "c", call: nil)
            machine.paged(through: store) {
                _ = $0.apply(.callback(cancel), at: EntryIndex(3), time: script.time)
            }
            machine.paged(through: store) { _ in }
            guard machine.residentCount == 0, machine.presence(of: Script.id) == .unloaded else {
                return  // would end well, which fails the test
            }
            _ = machine.state(of: Script.id)
        }
    }

    @Test("what has to be loaded is found in the bytes of a command, and is then in memory")
    func loading() throws {
        let store = TestStore()
        var machine = StateMachine()
        var script = Script()
        _ = machine.apply(.defineFlow(Script.code), at: EntryIndex(1), time: script.time)
        let open = script.opening()
        _ = machine.apply(.open(open), at: EntryIndex(2), time: script.time)
        let cancel = script.callback(.cancel, key: "c", call: nil)
        machine.paged(through: store) {
            _ = $0.apply(.callback(cancel), at: EntryIndex(3), time: script.time)
        }
        machine.paged(through: store) { _ in }
        let items = [
            RepeatBatch.Item(
                attempt: Script.id,
                key: cancel.key,
                count: 1,
                lastAt: WallTime(milliseconds: 1)
            )
        ]
        let repeats = RepeatBatch(request: script.origin().request, items: items)
        for command in [
            Command.open(open), .callback(cancel), .repeats(repeats),
        ] {
            var payload: [UInt8] = []
            command.encode(into: &payload)
            var places: [RecordPlace] = []
            machine.unloaded(forCommand: payload, into: &places)
            #expect(places.count == 1)
        }
        var places: [RecordPlace] = []
        machine.unloaded(Script.id, into: &places)
        let place = try #require(places.first)
        let before = machine.wants(place)
        try machine.load(store.read(place)[...], from: place)
        let after = machine.wants(place)
        #expect(before && !after)
        let state = machine.state(of: Script.id)
        #expect(state == .cancelled)
        // Whoever waits for it finds it in this turn and the next.
        machine.evict(keeping: 0)
        let presence = machine.presence(of: Script.id)
        #expect(presence == .resident)
    }

    @Test("a damaged record is an error, and never traps")
    func damaged() throws {
        let store = TestStore()
        var machine = StateMachine()
        var script = Script()
        _ = machine.apply(.defineFlow(Script.code), at: EntryIndex(1), time: script.time)
        _ = machine.apply(.open(script.opening()), at: EntryIndex(2), time: script.time)
        for (step, callback) in [
            script.callback(.answered), script.callback(.digits, digits: Script.wrong),
            script.callback(.cancel, key: "c", call: nil),
        ].enumerated() {
            machine.paged(through: store) {
                _ = $0.apply(
                    .callback(callback),
                    at: EntryIndex(UInt64(step) + 3),
                    time: script.time
                )
            }
        }
        machine.paged(through: store) { _ in }
        var places: [RecordPlace] = []
        machine.unloaded(Script.id, into: &places)
        let place = try #require(places.first)
        let bytes = store.read(place)
        for cut in 0..<bytes.count {
            do {
                try machine.load(bytes[..<cut], from: place)
                Issue.record("\(cut) bytes were taken for a record")
            } catch {
                continue
            }
        }
        for at in bytes.indices {
            var bytes = bytes
            bytes[at] ^= 0xff
            // Some flips make another valid record; its checksum is the store's affair.
            do { try machine.load(bytes[...], from: place) } catch { continue }
            return
        }
    }

    @Test("a search in the index of many places walks past few")
    func spread() {
        let hash = AttemptHash(key: 5)
        for reserved in [0, 200_000] {
            var machine = StateMachine(hash: hash)
            machine.reservePlaces(reserved)
            for number in 0..<200_000 {
                let location = RecordLocation(run: 1, offset: 8 * number, length: 16)
                machine.place(
                    RecordPlace(hash: hash(Script.attempt("va_\(number)")), location: location)
                )
            }
            let walk = machine.meanIndexWalk
            // With all of a shard's places behind one home it would be some twenty-five.
            #expect(walk < 5, "\(walk) with room for \(reserved)")
            #expect(machine.settledCount == 200_000)
        }
    }

    @Test("the index of places is what a dictionary would be, through growth and removals")
    func index() {
        // Exercised through the machine: many attempts, few hashes, everything evicted.
        play(seed: 9, hashBits: 0, steps: 400) { machine, store, _ in
            if !machine.isCheckpointUnderWay { store.begin(&machine) }
            store.finish(&machine)
            for _ in 0..<4 { machine.evict(keeping: 0) }
        }
    }
}
