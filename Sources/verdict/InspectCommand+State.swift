import Digest
import HTTP
import Raft
import Store

/// What `verdict inspect` says of checkpoints and runs.
extension InspectCommand {
    static func lines(_ state: StateInspection) -> [String] {
        var lines: [String] = []
        if let manifest = state.manifest {
            lines.append(
                "checkpoint of entry \(manifest.entry), "
                    + RFC3339.string(milliseconds: manifest.time.milliseconds)
                    + ", \(manifest.attempts) attempts opened by then"
            )
            if manifest.isFetched { lines.append("           fetched from another node") }
            if let digest = state.digest {
                lines.append("state      \(state.attempts) attempts, sum \(Hex.string(digest))")
            }
        } else {
            lines.append(state.damage.isEmpty ? "checkpoint none yet" : "checkpoint damaged")
        }
        if !state.runs.isEmpty { lines += ["", runs(state)] }
        if !state.leftovers.isEmpty {
            lines += ["", "removed at the next start: " + state.leftovers.joined(separator: " ")]
        }
        return lines
    }

    private static func runs(_ state: StateInspection) -> String {
        let rows = state.runs.map { run in
            [
                run.file, "\(run.bytes)", "\(run.records)", "\(run.newest)", "\(run.open)",
                run.isWhole ? "good" : "damaged",
            ]
        }
        return Terminal.table(
            ["run", "bytes", "records", "newest", "open", "checksums"],
            rows,
            right: [1, 2, 3, 4]
        )
    }

    static func append(_ state: StateInspection, to json: inout JSONText) {
        json.key("checkpoint")
        guard let manifest = state.manifest else {
            json.null()
            return
        }
        json.beginObject()
        json.member("cluster", manifest.cluster)
        json.member("node", manifest.node.number)
        json.member("term", manifest.entry.term.number)
        json.member("index", manifest.entry.index.number)
        json.member("time", milliseconds: manifest.time.milliseconds)
        json.member("bytes", state.manifestBytes)
        json.member("opened", manifest.attempts)
        json.member("attempts", state.attempts)
        json.key("state")
        if let digest = state.digest { json.string(Hex.string(digest)) } else { json.null() }
        json.key("runs")
        json.beginArray()
        for run in state.runs {
            json.beginObject()
            json.member("file", run.file)
            json.member("bytes", run.bytes)
            json.member("records", run.records)
            json.member("newest", run.newest)
            json.member("open", run.open)
            json.member("good", run.isWhole)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }
}
