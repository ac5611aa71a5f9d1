import Digest
import Journal
import Raft

/// A file of entries, copied out of a log: a header, then records as the log has them; docs/formats.md has it byte
/// by byte.
enum EntryFile {
    static let magic: UInt64 = 0x5359_5254_4e45_4456  // "VDENTRYS"
    static let version: UInt32 = 1
    static let headerSize = 64
    /// Bytes after which the next file is begun.
    static let fullSize = 64 * 1024 * 1024
    private static let prefix = "entries-"
    private static let suffix = ".log"

    /// Named by its first entry, as 16 hexadecimal digits, so that names are in the order of the log.
    static func name(first: LogIndex) -> String {
        let digits = String(first.number, radix: 16)
        return prefix + String(repeating: "0", count: 16 - digits.count) + digits + suffix
    }

    /// - Returns: `nil` if the name is none of these.
    static func first(in name: String) -> LogIndex? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix),
            let number = UInt64(name.dropFirst(prefix.count).dropLast(suffix.count), radix: 16),
            self.name(first: LogIndex(number)) == name
        else { return nil }
        return LogIndex(number)
    }

    static func header(first: LogIndex) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: magic)
        bytes.append(littleEndian: version)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: first.number)
        bytes.append(contentsOf: repeatElement(0, count: headerSize - 4 - bytes.count))
        bytes.append(littleEndian: CRC32C.checksum(of: bytes))
        return bytes
    }

    private static func check(
        _ bytes: [UInt8],
        first: LogIndex,
        file: String
    ) throws(JournalError) {
        guard bytes.count == headerSize, bytes.uint64(at: 0) == magic,
            CRC32C.checksum(of: bytes[..<(headerSize - 4)]) == bytes.uint32(at: headerSize - 4)
        else { throw .damaged(file: file, offset: 0, what: "its header is not whole") }
        guard bytes.uint32(at: 8) == version else {
            throw .unsupportedVersion(
                file: file,
                found: bytes.uint32(at: 8),
                supported: version
            )
        }
        guard bytes.uint64(at: 16) == first.number else {
            throw .damaged(
                file: file,
                offset: 0,
                what: "this is the file of entry \(bytes.uint64(at: 16))"
            )
        }
    }

    /// Hands over all entries of a file, in order.
    static func forEach(
        in file: String,
        first: LogIndex,
        on disk: inout some Disk,
        _ body: (Entry, _ offset: Int) throws(JournalError) -> Void
    ) throws(JournalError) {
        let size: Int
        let header: [UInt8]
        do {
            size = try disk.size(of: file)
            header = try disk.read(file, at: 0, count: headerSize)
        } catch { throw .disk(error) }
        try check(header, first: first, file: file)
        var bytes: [UInt8] = []
        var base = headerSize
        while base < size {
            let read: [UInt8]
            let from = base + bytes.count
            do {
                read = try disk.read(file, at: from, count: min(1024 * 1024, size - from))
            } catch { throw .disk(error) }
            bytes += read
            var at = 0
            while let next = try EntryRecords.entry(in: bytes, at: at, file: file, offset: base) {
                try body(next.entry, base + at)
                at = next.end
            }
            bytes.removeFirst(at)
            base += at
            guard !read.isEmpty || base == size else {
                throw .damaged(file: file, offset: base, what: "the file ends within an entry")
            }
        }
    }
}

/// Checks that entries follow each other, and are those of a log.
struct EntryChain {
    private let terms: [TermRun]
    private let last: LogIndex
    private(set) var next: LogIndex
    private var time = Timestamp.zero

    /// From the entry `first` on through `last`, in the log with these terms.
    init(from first: LogIndex, through last: LogIndex, terms: [TermRun]) {
        next = first
        self.last = last
        self.terms = terms
    }

    var isComplete: Bool { next > last }

    /// The entry before the next one.
    var before: EntryID {
        guard next.number > 1 else { return .zero }
        return EntryID(term: term(at: next.previous), index: next.previous)
    }

    mutating func take(_ entry: Entry, file: String, offset: Int) throws(JournalError) {
        guard entry.index == next, next <= last, entry.term == term(at: next) else {
            throw .damaged(
                file: file,
                offset: offset,
                what: "entry \(entry.id) where entry \(term(at: next))/\(next) should be"
            )
        }
        guard entry.time >= time else {
            throw .damaged(file: file, offset: offset, what: "time runs back to \(entry.id)")
        }
        time = entry.time
        next = next.next
    }

    /// An entry's term and index say which one it is.
    private func term(at index: LogIndex) -> Term {
        terms.last { $0.first <= index }?.term ?? .zero
    }
}
