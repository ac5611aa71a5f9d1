import Raft

// MARK: The safety properties

extension Cluster {
    func violate(_ text: String) {
        violations.append("\(now.nanoseconds / 1000) us: \(text)")
    }

    /// Election Safety and Leader Completeness.
    func checkLeader(_ member: Member, term: Term) {
        if let other = leaders[term], other != member.id {
            violate("\(other) and \(member.id) lead term \(term)")
        }
        leaders[term] = member.id
        for entry in committed where entry.term < term {
            if member.raft.term(at: entry.index) != entry.term {
                violate("leader \(member.id) of term \(term) lacks committed \(entry.id)")
                return
            }
        }
    }

    /// State Machine Safety, and that a majority's disks hold what is committed.
    func checkCommitted(_ entry: Entry, at member: Member) {
        let position = Int(entry.index.number) - 1
        if position < committed.count {
            if committed[position] != entry {
                violate("\(member.id) applied \(entry.id), not \(committed[position].id)")
            }
            return
        }
        committed.append(entry)
        let holders = members.filter { $0.hasOnDisk(entry.id) }.count
        if holders <= members.count / 2 { violate("\(entry.id) is on \(holders) disks") }
    }

    /// What is said is on disk: term, vote, and acknowledged entries.
    func checkIsDurable(_ message: Message, of member: Member) {
        let disk = member.hardState
        switch message.body {
        case .preVote, .preVoteReply:
            return
        case .requestVote:
            if disk.currentTerm == message.term, disk.votedFor == member.id { return }
            violate("\(member.id) campaigns in \(message.term), which is not on disk")
        case .requestVoteReply(let reply):
            if disk.currentTerm < message.term {
                violate("\(member.id) tells of term \(message.term), which is not on disk")
            }
            if reply.granted, disk.currentTerm == message.term, disk.votedFor != message.to {
                violate("\(member.id) votes for \(message.to), which is not on disk")
            }
        case .appendEntries, .timeoutNow:
            if disk.currentTerm < message.term {
                violate("\(member.id) leads term \(message.term), which is not on disk")
            }
        case .appendEntriesReply(let reply):
            if disk.currentTerm < message.term {
                violate("\(member.id) tells of term \(message.term), which is not on disk")
            }
            guard case .accepted(let durable, _) = reply.result, durable > .zero else { return }
            let term = member.raft.term(at: durable)
            guard let term, member.hasOnDisk(EntryID(term: term, index: durable)) else {
                return violate("\(member.id) acknowledges \(durable), which is not on disk")
            }
        }
    }

    /// Log Matching: where two logs have the same term at an index, they are equal up to there.
    func checkLogs() {
        for a in members {
            for b in members where b.id > a.id {
                var isEqual = false
                for position in (0..<min(a.log.count, b.log.count)).reversed() {
                    if isEqual {
                        if a.log[position] != b.log[position] {
                            violate("logs of \(a.id) and \(b.id) differ at \(position + 1)")
                            break
                        }
                    } else {
                        isEqual = a.log[position].id == b.log[position].id
                        if isEqual, a.log[position] != b.log[position] {
                            violate("\(a.id) and \(b.id) have two \(a.log[position].id)")
                        }
                    }
                }
            }
        }
    }
}
