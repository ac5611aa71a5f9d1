import Digest
package import Raft

/// Entries as the log has them on disk, one record behind the other and each with its checksum: the form in which
/// they are copied out of it.
///
/// Not the batches around them: those have the salt, which never leaves the node's disk.
package enum EntryRecords {
    package static func append(_ entry: Entry, to bytes: inout [UInt8]) {
        Record.append(entry, to: &bytes)
    }

    /// Reads the record at a place.
    ///
    /// - Parameters:
    ///   - bytes: a piece of a file.
    ///   - start: the record's place in it.
    ///   - file: for the error.
    ///   - offset: where the piece begins in it.
    /// - Returns: the entry and where the next one begins; `nil` if the piece ends before.
    /// - Throws: `JournalError.damaged` if it is no entry, or its checksum does not match.
    package static func entry(
        in bytes: [UInt8],
        at start: Int,
        file: String,
        offset: Int
    ) throws(JournalError) -> (entry: Entry, end: Int)? {
        guard start + Record.prefix <= bytes.count else { return nil }
        func damaged(_ what: String) -> JournalError {
            .damaged(file: file, offset: offset + start, what: what)
        }
        let length = Int(bytes.uint32(at: start + 4))
        guard length >= Record.entryHeader, length <= Record.maxLength else {
            throw damaged("record of impossible length \(length)")
        }
        let used = Record.prefix + length
        let padded = (used + Record.alignment - 1) & ~(Record.alignment - 1)
        guard padded <= bytes.count - start else { return nil }
        do throws(RecordFault) {
            let extent = try Record.extent(in: bytes, at: start)
            guard case .entry(let entry) = try Record(in: bytes, extent: extent) else {
                throw RecordFault("a record that is no entry")
            }
            guard bytes[start + used..<start + padded].allSatisfy({ $0 == 0 }) else {
                throw RecordFault("bytes after a record are not zero")
            }
            return (entry, start + padded)
        } catch {
            throw damaged(error.what)
        }
    }

    /// Reads entries that are all there is.
    package static func entries(
        in bytes: [UInt8],
        from source: String
    ) throws(JournalError) -> [Entry] {
        var entries: [Entry] = []
        var at = 0
        while at < bytes.count {
            guard let next = try entry(in: bytes, at: at, file: source, offset: 0) else {
                throw .damaged(file: source, offset: at, what: "it ends within an entry")
            }
            entries.append(next.entry)
            at = next.end
        }
        return entries
    }
}
