internal import Journal
internal import Raft

extension [UInt8] {
    mutating func append(_ directory: DirectoryID) {
        append(little: directory.high)
        append(little: directory.low)
    }

    mutating func append(_ tags: [MemberTag]) {
        append(little: UInt32(tags.count))
        for tag in tags {
            append(little: tag.node.number)
            append(tag.directory)
            append(little: tag.admittedAt.number)
        }
    }

    mutating func append(_ identity: PeerIdentity?) {
        append(flag: identity != nil)
        guard let identity else { return }
        append(identity.directory)
        append(little: identity.starts)
        append(little: identity.term.number)
        identity.lastEntry.encode(into: &self)
        append(flag: identity.isFormed)
        append(flag: identity.isRepairing)
        append(identity.members)
    }
}

extension ByteReader {
    mutating func directory() throws(WireError) -> DirectoryID {
        DirectoryID(high: try uint64(), low: try uint64())
    }

    mutating func members() throws(WireError) -> [MemberTag] {
        let count = try count(minimumSize: 28, field: "number of members")
        guard count <= IdentityFile.maxMembers else { throw .invalid(field: "number of members") }
        var tags: [MemberTag] = []
        tags.reserveCapacity(count)
        for _ in 0..<count {
            tags.append(
                MemberTag(
                    node: NodeID(try uint32()),
                    directory: try directory(),
                    admittedAt: LogIndex(try uint64())
                )
            )
        }
        return tags
    }

    mutating func identity() throws(WireError) -> PeerIdentity? {
        guard try bool() else { return nil }
        return PeerIdentity(
            directory: try directory(),
            starts: try uint64(),
            term: Term(try uint64()),
            lastEntry: try EntryID(from: &self),
            isFormed: try bool(),
            isRepairing: try bool(),
            members: try members()
        )
    }
}
