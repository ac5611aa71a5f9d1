package import Raft

extension LogJournal {
    /// Begins a log on a disk that has none, after an entry up to which a state kept elsewhere stands for it.
    ///
    /// - Parameters:
    ///   - disk: holds neither segments nor a promise.
    ///   - configuration: whose log it will be.
    ///   - last: the entry before its first; zero for a log from the first entry on.
    ///   - time: log time of that entry, or a later one.
    ///   - terms: of the log through it.
    /// - Returns: the journal, to append to.
    /// - Throws: `JournalError` if there is a log already, or the disk fails.
    package static func begin(
        on disk: inout some Disk,
        configuration: JournalConfiguration,
        after last: EntryID,
        time: Timestamp,
        terms: [TermRun]
    ) throws(JournalError) -> LogJournal {
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        let file = names.first { SegmentName.sequence($0) != nil || $0 == Promise.file }
        if let file {
            throw .damaged(file: file, offset: 0, what: "there is a log already")
        }
        var journal = try recover(from: &disk, configuration: configuration) { _ in }
            .takeJournal()
        if last.index > .zero { journal.begin(after: last, time: time, terms: terms) }
        return journal
    }

    /// Carries out at once all that was appended.
    package mutating func flush(on disk: inout some Disk) throws(JournalError) {
        while let batch = nextBatch() {
            do {
                for operation in batch.operations { try disk.perform(operation) }
            } catch {
                throw .disk(error)
            }
            _ = completed(batch.number)
        }
    }
}

/// The file that is there while a data directory is restored: what lies beside it is not whole.
package enum RestoreMark {
    package static let file = "RESTORING"

    /// Refuses a directory that was not restored to its end.
    package static func check(_ disk: inout some Disk) throws(JournalError) {
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        if names.contains(file) { throw .unfinishedRestore(file: file) }
    }
}
