import Backup
import Digest
import HTTP
import Journal
import Raft

/// What is said of a backup, for people and for scripts.
enum BackupReport {
    static func text(_ backup: BackupInspection, directory: String) -> String {
        let manifest = backup.manifest
        var lines = [
            "backup     \(directory), of node \(manifest.node.number) of cluster \(manifest.cluster)",
            "made at    \(RFC3339.string(milliseconds: manifest.madeAt))",
            "state      as of entry \(manifest.entry), "
                + "\(RFC3339.string(milliseconds: manifest.time.milliseconds)): "
                + "\(manifest.attempts) attempts, sum \(Hex.string(manifest.state))",
            "log        "
                + (backup.entries == 0
                    ? "none" : "\(backup.entries) entries from \(manifest.firstIndex) on"),
            "files      \(manifest.files.count), \(bytes(manifest)) bytes",
        ]
        if !backup.otherFiles.isEmpty {
            lines.append("not of it  " + backup.otherFiles.joined(separator: " "))
        }
        return (lines + backup.damage.lines).joined(separator: "\n")
    }

    static func restored(
        _ backup: BackupInspection,
        data: String,
        node: Int,
        cluster: String
    ) -> String {
        let manifest = backup.manifest
        var lines = [
            "\(data) is the data directory of node \(node) of cluster \(cluster)",
            "state      as of entry \(manifest.entry), "
                + "\(RFC3339.string(milliseconds: manifest.time.milliseconds)): "
                + "\(manifest.attempts) attempts, sum \(Hex.string(manifest.state))",
            "log        \(backup.entries) entries through \(manifest.entry.index)",
        ]
        if cluster == manifest.cluster {
            lines.append(
                "It has the name of the cluster that it was copied from: never let their nodes meet."
            )
        }
        return lines.joined(separator: "\n")
    }

    private static func bytes(_ manifest: BackupManifest) -> Int {
        manifest.files.reduce(0) { $0 + $1.bytes }
    }

    static func document(
        _ backup: BackupInspection,
        directory: String,
        isCompared: Bool? = nil,
        restored: (data: String, node: Int, cluster: String)? = nil
    ) -> String {
        let manifest = backup.manifest
        var json = JSONText()
        json.beginObject()
        json.member("backup", directory)
        json.member("cluster", manifest.cluster)
        json.member("node", manifest.node.number)
        json.member("directory", "\(manifest.directory)")
        json.member("made_at", milliseconds: manifest.madeAt)
        json.member("term", manifest.entry.term.number)
        json.member("index", manifest.entry.index.number)
        json.member("time", milliseconds: manifest.time.milliseconds)
        json.member("attempts", manifest.attempts)
        json.member("state", Hex.string(manifest.state))
        if let isCompared { json.member("compared", isCompared) }
        json.member("log_from", manifest.firstIndex.number)
        json.member("entries", backup.entries)
        json.key("files")
        json.beginArray()
        for file in manifest.files {
            json.beginObject()
            json.member("file", file.name)
            json.member("bytes", file.bytes)
            json.member("sha256", Hex.string(file.sha256))
            json.endObject()
        }
        json.endArray()
        if let restored {
            json.key("restored")
            json.beginObject()
            json.member("data", restored.data)
            json.member("node", restored.node)
            json.member("cluster", restored.cluster)
            json.endObject()
        }
        json.member("damage", backup.damage)
        json.endObject()
        return String(decoding: json.bytes, as: UTF8.self)
    }
}
