import Foundation
import Journal
import Raft
import Replica
import Testing
import Verification

@Suite("A data directory of the first version")
struct FormatTests {
    /// The files, as `Tests/JournalTests/Fixtures` has them: `file NAME SIZE`, then `OFFSET HEX`.
    private func disk() throws -> MemoryDisk {
        let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("JournalTests/Fixtures/node-version-1.txt")
        var disk = MemoryDisk()
        var file = ""
        for line in try String(contentsOf: path, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words[0] == "#" { continue }
            if words[0] == "file" {
                file = String(words[1])
                try disk.perform(.create(file: file, size: try #require(Int(words[2]))))
                continue
            }
            let digits = Array(words[1])
            let bytes = try stride(from: 0, to: digits.count, by: 2).map { at in
                try #require(UInt8(String(digits[at..<at + 2]), radix: 16))
            }
            let offset = try #require(Int(words[0]))
            try disk.perform(.write(file: file, offset: offset, bytes: bytes))
        }
        return disk
    }

    private func start(_ disk: inout MemoryDisk) throws -> ReplicaNode {
        let id = NodeID(2)
        let members = Membership(voters: [NodeID(1), NodeID(2), NodeID(3)])
        return try ReplicaNode(
            recovering: &disk,
            configuration: ReplicaConfiguration(
                raft: RaftConfiguration(node: id, membership: members, seed: 4),
                journal: JournalConfiguration(
                    cluster: "test",
                    node: id,
                    salt: 77,
                    segmentSize: 4096
                ),
                incarnation: 9
            ),
            at: Instant(nanoseconds: 1)
        )
    }

    @Test("gives the state that its log decided, at the first start and at the next")
    func replays() throws {
        var disk = try disk()
        for _ in 0..<2 {
            let node = try start(&disk)
            let applied = node.appliedIndex.number
            let last = node.raft.lastIndex.number
            let hard = (node.raft.currentTerm, node.raft.votedFor)
            #expect(applied == 18 && last == 19)
            #expect(hard.0 == Term(4) && hard.1 == NodeID(1))
            let expected: [(String, AttemptState, UInt64?, UInt64, UInt64, UInt64, UInt8)] = [
                ("va_open", .open, nil, 1, 0, 0, 3),
                ("va_verified", .verified, 10, 3, 1, 0, 2),
                ("va_rejected", .rejected, 14, 4, 0, 1, 0),
                ("va_expired", .expired, 16, 0, 0, 0, 3),
            ]
            for (name, state, decided, callbacks, repeated, contradicted, tries) in expected {
                let found = node.machine.attempt(Example.id(name))
                let view = try #require(found)
                #expect(view.state == state && view.triesLeft == tries, "\(name)")
                #expect(view.outcome?.index.number == decided, "\(name)")
                #expect(view.counts.callbacks == callbacks, "\(name)")
                #expect(view.counts.repeated == repeated, "\(name)")
                #expect(view.counts.contradicted == contradicted, "\(name)")
            }
        }
    }
}
