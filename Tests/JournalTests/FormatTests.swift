import Journal
import Raft
import Testing

@Suite("files of the first version")
struct FormatTests {
    @Test("are read, entry by entry, and gone on with")
    func versionOne() throws {
        var disk = try Fixture.disk("follower-version-1")
        var model = ModelLog()
        for write in lifeOfAFollower().joined() { model.apply(write) }
        var found = try recover(&disk)
        #expect(found.model == model && found.committed == model.committed)
        #expect(found.log.terms == model.runs && found.tornTail == nil && found.damage.isEmpty)

        var journal = try LogJournal.recover(from: &disk, configuration: configuration(salt: 7)) {
            _ in
        }.takeJournal()
        let next = model.write(1, term: 6, from: 17, sizes: [40, 4_000], commit: 17)
        journal.append(next)
        model.apply(next)
        _ = try journal.finish(on: &disk)
        found = try recover(&disk)
        #expect(found.model == model && found.log.terms == model.runs)
    }

    @Test("have their promise mirrored at the first start")
    func mirrorsVersionOne() throws {
        var disk = try Fixture.disk("follower-version-1")
        #expect(!disk.list().contains("PROMISE"))
        _ = try recover(&disk)
        #expect(disk.list().contains("PROMISE"))
    }
}
