internal import HTTP
internal import Raft
package import Replica

/// The body that says what has become of a backup.
package enum BackupBody {
    /// The type of its files' and entries' bytes.
    package static let octets = "application/octet-stream"

    /// A backup's name in paths: its number as 16 hexadecimal digits.
    package static func name(_ id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// - Returns: `nil` if the name is no backup's.
    package static func id(_ name: String) -> UInt64? {
        guard let id = UInt64(name, radix: 16), self.name(id) == name else { return nil }
        return id
    }

    package static func bytes(
        _ id: UInt64,
        node: UInt32,
        cluster: String,
        directory: String?,
        digestKeyMark: UInt64,
        _ view: BackupView
    ) -> [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("backup", name(id))
        json.member("node", node)
        json.member("cluster", cluster)
        json.key("directory")
        if let directory { json.string(directory) } else { json.null() }
        json.member("digest_key_mark", name(digestKeyMark))
        switch view {
        case .preparing: json.member("state", "preparing")
        case .ready(let contents):
            json.member("state", "ready")
            json.key("entry")
            json.beginObject()
            json.member("term", contents.entry.term.number)
            json.member("index", contents.entry.index.number)
            json.member("time", milliseconds: contents.time.milliseconds)
            json.endObject()
            json.member("log_from", contents.firstIndex.number)
            json.member("compared", contents.isCompared)
            json.key("files")
            json.beginArray()
            for file in contents.files {
                json.beginObject()
                json.member("file", file.name)
                json.member("bytes", file.bytes)
                json.member("checksum", file.checksum)
                json.endObject()
            }
            json.endArray()
        }
        json.endObject()
        return json.bytes
    }
}

/// Numbers in the query of a backup's routes.
package enum BackupQuery {
    /// `log=partial`: of a log with a gap what is behind it will do; `log=whole` is what goes without saying.
    package static func allowsGap(_ query: Substring?) throws(Problem) -> Bool {
        let given =
            query?.split(separator: "&").filter { $0 == "log" || $0.hasPrefix("log=") } ?? []
        switch given {
        case [], ["log=whole"]: return false
        case ["log=partial"]: return true
        default: throw .invalid(field: "log", "must be whole or partial")
        }
    }

    /// - Returns: `nil` if the parameter is not there; other parameters pass.
    package static func number(
        _ name: String,
        _ query: Substring?
    ) throws(Problem) -> UInt64? {
        guard let query else { return nil }
        let prefix = name + "="
        let given = query.split(separator: "&").filter { $0.hasPrefix(prefix) }
        guard let first = given.first else { return nil }
        guard given.count == 1, first.dropFirst(prefix.count).utf8.allSatisfy({ $0 != 0x2b }),
            let number = UInt64(first.dropFirst(prefix.count)), number < 1 << 62
        else { throw .invalid(field: name, "must be one whole number") }
        return number
    }
}
