import Journal
import Raft
import Store
import Testing
import Verification

/// A life with two checkpoints, in which attempts of the first were superseded by the second.
private func twoCheckpoints() throws -> Life {
    var life = Life()
    try life.live(0)
    #expect(life.checkpoint() == nil)
    try life.live(1)
    #expect(life.checkpoint() == nil)
    return life
}

@Suite("looking into state files")
struct StateInspectionTests {
    @Test("shows the checkpoint, its runs, and how many of their records count")
    func whole() throws {
        let life = try twoCheckpoints()
        var disk = life.disk
        let state = try StateInspection(&disk)
        #expect(state.damage.isEmpty && state.leftovers.isEmpty)
        let manifest = try #require(life.store.manifest)
        let opened = life.machine.openedCount
        #expect(state.manifest == manifest)
        #expect(state.runs.count == 2)
        #expect(state.runs.map(\.records) == manifest.runs.map(\.records))
        #expect(state.runs[0].newest < state.runs[0].records)
        #expect(state.runs[1].newest == state.runs[1].records)
        #expect(UInt64(state.attempts) == opened)
        #expect(state.runs.map(\.isWhole) == [true, true])
        #expect(state.digest?.count == 32)
        #expect(disk.performed == life.disk.performed, "it changed something")
    }

    @Test("an empty directory has no checkpoint, and no damage")
    func empty() throws {
        var disk = StoreDisk()
        let state = try StateInspection(&disk)
        #expect(state.manifest == nil && state.damage.isEmpty && state.digest == nil)
    }

    @Test("the sum is that of the state, and not of the files that it is in")
    func sum() throws {
        var inOne = Life()
        try inOne.live(0)
        try inOne.live(1)
        #expect(inOne.checkpoint() == nil)
        let inTwo = try twoCheckpoints()
        var one = inOne.disk
        var two = inTwo.disk
        #expect(try StateInspection(&one).runs.count == 1)
        let sum = try StateInspection(&one).digest
        #expect(try StateInspection(&two).digest == sum)
        // One callback more is another state.
        try inOne.callback(3, .ringing, key: 77)
        #expect(inOne.checkpoint() == nil)
        var more = inOne.disk
        #expect(try StateInspection(&more).digest != sum)
    }

    @Test("a changed bit is found wherever it is, and nothing but its file is named")
    func everyByte() throws {
        let life = try twoCheckpoints()
        for file in [RunName.manifest] + (life.store.manifest?.runs.map(\.file) ?? []) {
            for at in 0..<(try life.disk.size(of: file)) {
                var disk = life.disk
                disk.flip(file, at: at)
                do throws(JournalError) {
                    let state = try StateInspection(&disk)
                    #expect(!state.damage.isEmpty, "\(file) byte \(at)")
                    #expect(state.damage.allSatisfy { $0.file == file }, "\(file) byte \(at)")
                    #expect(state.digest == nil)
                } catch {
                    Issue.record("\(file) byte \(at): \(error)")
                }
            }
        }
    }

    @Test("a file that is cut short, longer or missing is damage")
    func sizes() throws {
        let life = try twoCheckpoints()
        let manifest = try #require(life.store.manifest)
        let run = manifest.runs[0].file
        let size = try life.disk.size(of: run)
        for wrong in [0, 1, 63, size / 2, size - 1] {
            var disk = life.disk
            try disk.perform(.truncate(file: run, size: wrong))
            #expect(try StateInspection(&disk).damage.map(\.file) == [run], "\(wrong) bytes")
        }
        var longer = life.disk
        try longer.perform(.write(file: run, offset: size, bytes: [0]))
        #expect(try StateInspection(&longer).damage.map(\.file) == [run])
        var lost = life.disk
        lost.lose(run)
        let state = try StateInspection(&lost)
        #expect(state.damage.map(\.file) == [run])
        #expect(state.damage.first?.what == "the file is missing")
    }

    @Test("what a start would remove is named, and is no damage")
    func leftovers() throws {
        var disk = try twoCheckpoints().disk
        for file in [RunName.file(99), RunName.temporary(7)] {
            try disk.perform(.create(file: file, size: 10))
        }
        let state = try StateInspection(&disk)
        #expect(state.damage.isEmpty)
        #expect(Set(state.leftovers) == [RunName.file(99), RunName.temporary(7)])
    }
}
