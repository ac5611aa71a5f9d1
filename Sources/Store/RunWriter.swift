import Digest
import Journal
import Verification

/// Writes one run, in pieces.
struct RunWriter {
    /// Bytes of one write, about.
    static let pieceSize = 1024 * 1024
    /// Bytes after which they are synced, so that the last sync is short.
    static let syncEvery = 4 * 1024 * 1024

    let sequence: UInt64
    let file: String
    private let pieceSize: Int

    /// What waits to be written, from `written` on.
    private var buffer: [UInt8]
    private var written = 0
    private var unsynced = 0
    private var footer: [UInt8] = []
    private var footerChecksum: UInt32 = 0
    private(set) var records = 0
    private var newestDecision = LogTime(milliseconds: 0)
    /// Stands for the decision of attempts that are open.
    private let time: LogTime
    private var hasDetails = false
    private var footerOffset = 0
    private var footerWritten = 0
    private var isCreated = false
    private var isSealed = false
    private var hasTrailer = false
    /// All operations have been handed out.
    private(set) var isDone = false

    init(sequence: UInt64, time: LogTime, pieceSize: Int) {
        self.sequence = sequence
        self.time = time
        self.pieceSize = max(pieceSize, 512)
        file = RunName.file(sequence)
        buffer = RunHeader.encoded(sequence: sequence)
    }

    /// Bytes that wait to be handed out.
    var pendingBytes: Int { buffer.count }
    /// Bytes of records so far.
    var bytes: Int { written + buffer.count }

    /// Adds a record.
    mutating func append(_ payload: ArraySlice<UInt8>, _ label: RecordLabel) -> FooterEntry {
        invariant(!isSealed, "a record added to run \(sequence) after its end")
        let offset = written + buffer.count
        RunRecord.append(payload, to: &buffer)
        let entry = FooterEntry(
            hash: label.hash,
            ordinal: label.ordinal,
            offset: offset,
            length: RunRecord.prefix + payload.count,
            isOpen: label.decidedAt == nil
        )
        // Never later than the checkpoint that the run is of: an attempt that is open here is decided later than that, and
        // once that decision is forgotten, this run goes before the one with the decision.
        newestDecision = max(newestDecision, min(label.decidedAt ?? time, time))
        if !label.isCompact { hasDetails = true }
        let start = footer.count
        entry.encode(into: &footer)
        footerChecksum = CRC32C.checksum(of: footer[start...], continuing: footerChecksum)
        records += 1
        return entry
    }

    /// No more records come.
    mutating func seal() {
        guard !isSealed else { return }
        isSealed = true
        footerOffset = written + buffer.count
    }

    /// What the manifest says of the run.
    ///
    /// - Precondition: `isDone`.
    var run: Run {
        Run(
            sequence: sequence,
            bytes: written,
            footerOffset: footerOffset,
            records: records,
            footerChecksum: footerChecksum,
            newestDecision: newestDecision,
            hasDetails: hasDetails
        )
    }

    /// The next operations, of about a piece; `nil` if less than a piece waits and more is to come.
    mutating func nextOperations() -> [DiskOperation]? {
        guard !isDone else { return nil }
        if isSealed { fillFromFooter() }
        guard isSealed || buffer.count >= pieceSize else { return nil }
        var operations: [DiskOperation] = []
        if !isCreated {
            isCreated = true
            operations.append(.create(file: file, size: 0))
        }
        var piece: [UInt8] = []
        if buffer.count <= pieceSize + pieceSize / 2 {
            swap(&piece, &buffer)
            buffer.reserveCapacity(isSealed ? 0 : piece.count)
        } else {
            piece = Array(buffer[..<pieceSize])
            buffer.removeFirst(pieceSize)
        }
        if !piece.isEmpty {
            unsynced += piece.count
            let offset = written
            written += piece.count
            operations.append(.write(file: file, offset: offset, bytes: piece))
        }
        isDone = isSealed && buffer.isEmpty && hasTrailer
        if isDone || unsynced >= RunWriter.syncEvery {
            operations.append(.sync(file: file))
            unsynced = 0
        }
        return operations
    }

    /// Moves the list of records, and what follows it, behind the records.
    private mutating func fillFromFooter() {
        guard buffer.count < pieceSize, !hasTrailer else { return }
        let end = min(footer.count, footerWritten + pieceSize)
        buffer.append(contentsOf: footer[footerWritten..<end])
        footerWritten = end
        guard footerWritten == footer.count else { return }
        hasTrailer = true
        footer = []
        RunTrailer.append(run, to: &buffer)
    }
}
