internal import Journal
internal import Raft
internal import Replica
internal import Verification

extension WorldPlan {
    /// What the seed drew, in one line.
    package var summary: String {
        let network =
            isOrdered ? "ordered" : "loss \(loss) dup \(duplication) reorder \(reordering) ppm"
        let kinds = faultKinds.map(\.rawValue).joined(separator: " ")
        return """
            \(nodes) nodes, \(network)\(isEncoded ? ", encoded" : ""), election time-out \
            \(electionTimeout / WorldPlan.millisecond) ms, \(attempts.count) attempts, \
            \(faults.count) faults of: \(kinds)\(story.map { "; story \($0)" } ?? "")\(kept)
            """
    }

    /// How long decided attempts are kept, where that is no longer than the run.
    private var kept: String {
        guard let settings = retentions.first else { return "" }
        let isSame = retentions.allSatisfy { $0 == settings }
        return "; \(settings)\(isSame ? "" : ", or longer")"
    }
}

func describe(_ post: Post) -> String {
    switch post {
    case .open(let changes): changes ? "open, with another meaning" : "open"
    case .callback(let callback, _): describe(callback)
    case .poll: "poll"
    case .read: "read"
    case .localRead: "local read"
    }
}

func describe(_ callback: Callback) -> String {
    var text = "\(callback.event.name) \(callback.key)"
    if let outcome = callback.outcome { text += " \(outcome.name)" }
    if let status = callback.status { text += " \(status.name)" }
    if let digits = callback.digits { text += " digits#\(digits.last ?? 0)" }
    return text
}

func describe(_ message: PeerMessage) -> String {
    switch message {
    case .raft(let message): describe(message)
    case .forward(let forward):
        "forward \(forward.number) of \(forward.requests.count) requests"
    case .forwardRefused(let number): "forward \(number) refused"
    case .readIndex(let round): "read index? round \(round)"
    case .readIndexReply(let round, let index):
        "read index \(index?.description ?? "refused"), round \(round)"
    case .ping: "ping"
    case .pong: "pong"
    case .pull(let message): describe(message)
    case .roundTrips: "round trips"
    case .members(let tags, let isFormed): "members \(tags.count), formed: \(isFormed)"
    }
}

func describe(_ message: PullMessage) -> String {
    switch message {
    case .entriesWanted(let from, _): "entries from \(from)?"
    case .entries(let from, let first, let entries):
        "\(entries.count) entries from \(from), has \(first)"
    case .checkpointOffered(let entry): "a checkpoint at \(entry) is here"
    case .comparisonWanted(let index): "states compared as of \(index)?"
    case .fileWanted(let file, let offset, _): "\(file) from \(offset)?"
    case .file(let file, let offset, let bytes):
        "\(bytes.map { "\($0.count) bytes" } ?? "nothing") of \(file) from \(offset)"
    }
}

func describe(_ message: Message) -> String {
    let term = "term \(message.term)"
    switch message.body {
    case .preVote(let request): return "pre-vote? \(term), log ends at \(request.lastEntry)"
    case .preVoteReply(let reply):
        return "pre-vote \(reply.granted ? "granted" : "refused"), \(term)"
    case .requestVote(let request):
        return "vote? \(term), log ends at \(request.lastEntry)"
            + (request.isTransfer ? ", transfer" : "")
    case .requestVoteReply(let reply):
        return "vote \(reply.granted ? "granted" : "refused"), \(term)"
    case .appendEntries(let append):
        return """
            append \(append.entries.count) after \(append.previous), \(term), commit \
            \(append.leaderCommit), durable \(append.leaderDurable), round \(append.readRound)
            """
    case .appendEntriesReply(let reply):
        switch reply.result {
        case .accepted(let durable, let matched):
            return
                "accepted, durable \(durable), matched \(matched), \(term), round \(reply.readRound)"
        case .rejected(let index, let hint):
            return "rejected at \(index), hint \(hint), \(term)"
        }
    case .timeoutNow: return "time-out now, \(term)"
    }
}

func describe(_ operation: DiskOperation) -> String {
    switch operation {
    case .create(let file, let size): "create \(file), \(size) bytes"
    case .write(let file, let offset, let bytes): "write \(file) at \(offset), \(bytes.count) bytes"
    case .sync(let file): "sync \(file)"
    case .syncDirectory: "sync directory"
    case .rename(let from, let to): "rename \(from) to \(to)"
    case .remove(let file): "remove \(file)"
    case .truncate(let file, let size): "truncate \(file) to \(size)"
    }
}
