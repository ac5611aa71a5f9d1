/// The file `DIGEST-KEY`: under which key the digests of a data directory's log were made, without telling the key.
///
/// With another key no digits would match, and each right code would use up a try; so a node does not start with one.
/// A backup and a directory restored from it carry it along.
package enum DigestKeyMark {
    package static let file = "DIGEST-KEY"
    private static let unfinished = "DIGEST-KEY.new"
    private static let digits = 16

    /// What the file says; `nil` if it is not there, or damaged: then it is to be written anew.
    package static func read(from disk: inout some Disk) throws(JournalError) -> UInt64? {
        do {
            guard try disk.list().contains(file) else { return nil }
            let bytes = try disk.read(file, at: 0, count: digits + 1)
            guard bytes.count == digits + 1, bytes.last == 0x0A else { return nil }
            return UInt64(String(decoding: bytes.dropLast(), as: UTF8.self), radix: 16)
        } catch { throw .disk(error) }
    }

    /// Writes the file, in one step.
    ///
    /// - Precondition: `mark` is not 0, which stands for none.
    package static func write(_ mark: UInt64, to disk: inout some Disk) throws(JournalError) {
        precondition(mark != 0)
        let text = String(mark, radix: 16)
        let padded = String(repeating: "0", count: digits - text.count) + text + "\n"
        do {
            if try disk.list().contains(unfinished) { try disk.perform(.remove(file: unfinished)) }
            for operation: DiskOperation in [
                .create(file: unfinished, size: 0),
                .write(file: unfinished, offset: 0, bytes: Array(padded.utf8)),
                .sync(file: unfinished), .syncDirectory,
                .rename(from: unfinished, to: file), .syncDirectory,
            ] {
                try disk.perform(operation)
            }
        } catch { throw .disk(error) }
    }
}
