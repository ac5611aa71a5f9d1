import Journal
import Raft
import Store
import Testing
import Verification

@Suite("checkpoints")
struct CheckpointTests {
    @Test("a start finds the state as it was at the checkpoint, and goes on from there")
    func restart() throws {
        var life = Life()
        for round in 0..<6 {
            try life.live(round)
            #expect(life.checkpoint() == nil)
            let canonical = life.canonical
            var found = try Life(on: life.disk)
            let foundCanonical = found.canonical
            #expect(foundCanonical == canonical)
            try found.live(round + 1)
            #expect(found.checkpoint() == nil)
        }
        let resident = life.machine.residentCount
        let settled = life.machine.settledCount
        #expect(resident < settled)
    }

    @Test("a checkpoint writes what has changed, and not what there is")
    func incremental() throws {
        var life = Life()
        for number in 0..<200 {
            try life.open(number)
            try life.callback(number, .outcome, key: 1)
        }
        #expect(life.checkpoint() == nil)
        let all = try #require(life.store.manifest).runs[0].bytes
        try life.callback(7, .ringing, key: 2)
        #expect(life.checkpoint() == nil)
        let manifest = try #require(life.store.manifest)
        #expect(manifest.runs.count == 2)
        #expect(manifest.runs[1].records == 1)
        #expect(manifest.runs[1].bytes < all / 50)
    }

    @Test("with nothing changed it makes no run")
    func nothing() throws {
        var life = Life()
        try life.live(0)
        #expect(life.checkpoint() == nil)
        life.apply(.tick)
        #expect(life.checkpoint() == nil)
        #expect(life.store.manifest?.runs.count == 1)
        let canonical = life.canonical
        let found = try Life(on: life.disk).canonical
        #expect(found == canonical)
    }

    @Test("a power cut at any operation leaves the old checkpoint or the new one")
    func everyOperation() throws {
        var life = Life()
        var allowed: [[UInt8]] = [life.canonical]
        var tried = 0
        for round in 0..<4 {
            try life.live(round)
            life.begin()
            allowed.append(life.canonical)
            // What is applied while the checkpoint is written is not in it.
            try life.callback(round * 4 + 1, .ended, key: 7)
            try life.callback(round * 4 + 3, .outcome, key: 8)
            let moments = Moments()
            life.watch = { moments.disks.append($0) }
            #expect(life.finish() == nil)
            moments.disks.append(life.disk)
            for (at, disk) in moments.disks.enumerated() {
                for keepsNames in [false, true] {
                    for share in [0, 0.5, 1] {
                        let left = disk.afterPowerCut(keepsNames: keepsNames, unsynced: share)
                        let found = try Life(on: left)
                        let canonical = found.canonical
                        let isLast = at == moments.disks.count - 1
                        // Before the first checkpoint a start finds nothing.
                        let isEmpty = found.store.manifest == nil
                        let isOld =
                            isEmpty ? allowed.count == 2 : canonical == allowed[allowed.count - 2]
                        let isNew = !isEmpty && canonical == allowed[allowed.count - 1]
                        #expect(isLast ? isNew : isOld || isNew, "round \(round), moment \(at)")
                        // A start that is cut off itself finds the same again.
                        let again = found.disk.afterPowerCut(keepsNames: false, unsynced: 0)
                        let second = try Life(on: again).canonical
                        #expect(second == canonical, "round \(round), moment \(at), second start")
                        tried += 1
                    }
                }
            }
        }
        #expect(tried > 200)
    }

    @Test("any operation may fail: the old checkpoint holds, and the next one has everything")
    func everyFailure() throws {
        var at = 0
        while true {
            var life = Life()
            try life.live(0)
            #expect(life.checkpoint() == nil)
            try life.live(1)
            life.disk.failsAt = life.disk.performed + at
            let failure = life.checkpoint()
            let reached = life.disk.failsAt.map { life.disk.performed > $0 } ?? false
            life.disk.failsAt = nil
            if !reached { break }
            #expect(failure != nil, "operation \(at)")
            // The process may end there and then.
            _ = try Life(on: life.disk.afterPowerCut(keepsNames: at % 2 == 0, unsynced: 0))
            _ = try Life(on: life.disk)
            try life.live(2)
            #expect(life.checkpoint() == nil)
            let canonical = life.canonical
            let found = try Life(on: life.disk.afterPowerCut(keepsNames: false, unsynced: 0))
            let foundCanonical = found.canonical
            #expect(foundCanonical == canonical, "operation \(at)")
            // Files of no use are gone with the next work.
            while let batch = life.store.nextBatch(mayPublish: true) {
                _ = life.store.completed(batch.number, life.perform(batch))
            }
            let names = life.disk.list()
            let runs = names.filter { RunName.sequence($0) != nil }
            #expect(runs.count == life.store.manifest?.runs.count, "operation \(at): \(names)")
            at += 1
        }
        #expect(at > 8)
    }

    @Test("it is not published before the log holds its entry")
    func publication() throws {
        var life = Life()
        try life.live(0)
        life.begin()
        _ = life.machine.encodeCheckpoint(maxBytes: .max / 2)
        let encoded = life.machine.takeEncoded()
        var start = 0
        for item in encoded.items {
            _ = life.store.write(encoded.bytes[start..<item.end], RecordLabel(item))
            start = item.end
        }
        life.store.sealCheckpoint()
        while let batch = life.store.nextBatch(mayPublish: false) {
            let isRename = batch.operations.contains {
                if case .rename = $0 { true } else { false }
            }
            #expect(!isRename)
            _ = life.store.completed(batch.number, life.perform(batch))
        }
        let next = life.store.nextBatch(mayPublish: true)
        let batch = try #require(next)
        #expect(life.store.manifest == nil)
        guard case .checkpoint = life.store.completed(batch.number, life.perform(batch)) else {
            Issue.record("not published")
            return
        }
        #expect(life.store.manifest != nil)
    }

    @Test("damage is found: of the manifest and of lists at start, of a record when it is read")
    func damage() throws {
        var life = Life()
        try life.live(0)
        #expect(life.checkpoint() == nil)
        try life.live(1)
        #expect(life.checkpoint() == nil)
        let manifest = try #require(life.store.manifest)
        let size = try life.disk.size(of: RunName.manifest)
        for at in 0..<size {
            var disk = life.disk
            disk.flip(RunName.manifest, at: at)
            #expect(throws: JournalError.self, "byte \(at)") { _ = try Life(on: disk).disk }
        }
        for run in manifest.runs {
            var lost = life.disk
            lost.lose(run.file)
            #expect(throws: JournalError.missing(file: run.file)) { _ = try Life(on: lost).disk }
            let footer = run.footerOffset..<run.footerOffset + run.records * 24
            for at in Array(0..<64) + Array(footer) {
                var disk = life.disk
                disk.flip(run.file, at: at)
                #expect(throws: JournalError.self, "\(run.file) byte \(at)") {
                    _ = try Life(on: disk).disk
                }
            }
        }
        // Records: whoever reads one sees it.
        for number in 0..<10 {
            var places: [RecordPlace] = []
            life.machine.unloaded(Life.id(number), into: &places)
            for place in places {
                let read = life.store.read(place.location, number: 1)
                let good = try life.disk.read(read.file, at: read.offset, count: read.count)
                let record = try StateStore.record(in: good, of: read)
                for at in 0..<8 + record.count {
                    var bytes = good
                    bytes[at] ^= 0x10
                    #expect(throws: JournalError.self, "byte \(at)") {
                        _ = try StateStore.record(in: bytes, of: read)
                    }
                }
            }
        }
    }

    @Test("another cluster's, another node's and a newer checkpoint are refused")
    func foreign() throws {
        var life = Life()
        try life.live(0)
        #expect(life.checkpoint() == nil)
        var disk = life.disk
        #expect(throws: JournalError.self) {
            _ = try StateStore.open(on: &disk, cluster: "other", node: NodeID(1))
        }
        #expect(throws: JournalError.self) {
            _ = try StateStore.open(on: &disk, cluster: "c", node: NodeID(2))
        }
        let names = disk.list()
        #expect(names == life.disk.list())
    }
}
