import Foundation
import Journal
import Testing

/// The files of a data directory as an earlier version of this program wrote them.
///
/// The text has a line `file NAME SIZE`, then `OFFSET HEX` for each row that is not all zeroes.
enum Fixture {
    static func disk(_ name: String) throws -> CrashDisk {
        let url = try #require(
            Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: "txt")
        )
        var disk = CrashDisk()
        var file = ""
        var bytes: [UInt8] = []
        for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words[0] == "#" { continue }
            if words[0] == "file" {
                if !file.isEmpty { disk.make(file, bytes) }
                file = String(words[1])
                bytes = [UInt8](repeating: 0, count: try #require(Int(words[2])))
            } else {
                var row: [UInt8] = []
                var digits = words[1][...]
                while !digits.isEmpty {
                    row.append(try #require(UInt8(digits.prefix(2), radix: 16)))
                    digits = digits.dropFirst(2)
                }
                bytes.lay(row, at: try #require(Int(words[0])))
            }
        }
        disk.make(file, bytes)
        return disk
    }
}
