internal import Raft

/// The files of a node's intake: records that were acknowledged before they stand in the log.
///
/// Pure: `append` says what to do on the disk, one batch at a time, and `recover` what was found
/// there. A record is durable with its batch and stays until a batch says that it is done; a file goes when
/// nothing in it or before it is needed. What is in the files is a set and no sequence, so a damaged
/// frame costs the records in it and no others.
package struct IntakeJournal: Sendable {
    struct File: Hashable, Sendable {
        var sequence: UInt64
        /// Records in it that are not done.
        var live = 0
        /// Bytes written, whole sectors.
        var used = 0
        var size: Int
    }

    private let configuration: JournalConfiguration
    private let fileSize: Int
    /// Ascending; the last one is written to if it `isOpen`.
    private var files: [File] = []
    /// Files of an earlier run are read and removed, and never written to.
    private var isOpen = false
    private var nextSequence: UInt64 = 1
    private var nextNumber: UInt64 = 1
    /// Where each record that is not done stands; looked up only.
    private var places: [UInt64: UInt64] = [:]
    /// As it was before the last batch, if that makes a file: there may be no room for it.
    private var before: [IntakeJournal] = []

    package init(_ configuration: JournalConfiguration, fileSize: Int = 1024 * 1024) {
        self.configuration = configuration
        self.fileSize = Sector.roundUp(max(fileSize, 4096))
    }

    /// Bytes of items in one batch, at most.
    package var maxBatchBytes: Int { fileSize / 2 }

    /// Bytes that the files take up on the disk.
    package var diskBytes: Int { files.reduce(0) { $0 + $1.size } }

    package mutating func takeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// The steps that make these items durable.
    ///
    /// - Precondition: the batch before is durable; their size is at most `maxBatchBytes`.
    package mutating func append(_ items: [IntakeItem]) -> [DiskOperation] {
        var operations: [DiskOperation] = []
        let bytes = items.reduce(0) { $0 + IntakeFrame.size(of: $1) }
        invariant(bytes <= maxBatchBytes, "an intake batch of \(bytes) bytes")
        before = []
        let fits =
            files.last.map {
                isOpen && $0.used + IntakeFrame.size(ofItems: bytes, cluster: nil) <= $0.size
            } ?? false
        if !fits {
            before = [self]
            files.append(File(sequence: nextSequence, size: fileSize))
            operations.append(.create(file: IntakeName.file(nextSequence), size: fileSize))
            nextSequence += 1
            isOpen = true
        }
        let place = files.count - 1
        let frame = IntakeFrame(
            node: configuration.node,
            sequence: files[place].sequence,
            salt: configuration.salt,
            cluster: files[place].used == 0 ? configuration.cluster : nil,
            items: items
        )
        let encoded = frame.encoded()
        let name = IntakeName.file(files[place].sequence)
        operations.append(.write(file: name, offset: files[place].used, bytes: encoded))
        operations.append(.sync(file: name))
        if !fits { operations.append(.syncDirectory) }
        files[place].used += encoded.count
        for item in items {
            switch item {
            case .taken(let number, _):
                // Of an earlier run, and written again.
                forget(number)
                places[number] = files[place].sequence
                files[place].live += 1
            case .done(let number): forget(number)
            }
        }
        operations += removals()
        return operations
    }

    /// There was no room for the file that the last batch was to make: none of it was done.
    package mutating func foundNoRoom() {
        let next = nextNumber
        invariant(before.count == 1, "no file was to be made")
        self = before[0]
        nextNumber = next
    }

    private mutating func forget(_ number: UInt64) {
        guard let sequence = places.removeValue(forKey: number),
            let place = files.firstIndex(where: { $0.sequence == sequence })
        else { return }
        files[place].live -= 1
    }

    /// Removes the oldest files, as far as nothing in them is needed.
    ///
    /// In order: what a later file says is done may stand in an earlier one. Never the one that is written
    /// to, so that what it says stays.
    private mutating func removals() -> [DiskOperation] {
        var operations: [DiskOperation] = []
        while files.count > 1, files[0].live == 0 {
            operations.append(.remove(file: IntakeName.file(files[0].sequence)))
            operations.append(.syncDirectory)
            files.removeFirst()
        }
        return operations
    }
}

// MARK: Recovery

extension IntakeJournal {
    /// What was found in the files at a start.
    package struct Recovered: Sendable {
        package var journal: IntakeJournal
        /// Records that no batch called done, in the order in which they were taken in.
        package var records: [(number: UInt64, payload: [UInt8])]
        /// Frames that are not what was written; what stood in them is lost.
        package var damage: [IntakeDamage]
    }

    /// Reads the files, which must be this node's.
    package static func recover(
        from disk: inout some Disk,
        configuration: JournalConfiguration,
        fileSize: Int = 1024 * 1024
    ) throws(JournalError) -> Recovered {
        var journal = IntakeJournal(configuration, fileSize: fileSize)
        var damage: [IntakeDamage] = []
        var payloads: [UInt64: [UInt8]] = [:]
        var done: Set<UInt64> = []
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        for sequence in names.compactMap(IntakeName.sequence).sorted() {
            let name = IntakeName.file(sequence)
            let bytes: [UInt8]
            do {
                bytes = try disk.read(name, at: 0, count: disk.size(of: name))
            } catch { throw .disk(error) }
            var file = File(sequence: sequence, used: bytes.count, size: bytes.count)
            var offset = 0
            var salt: UInt64?
            var torn: Int?
            while offset < bytes.count {
                guard let (frame, size) = try IntakeFrame.read(bytes, at: offset, file: name),
                    frame.sequence == sequence, salt == nil || frame.salt == salt
                else {
                    if torn == nil { torn = offset }
                    offset += Sector.size
                    continue
                }
                try check(frame, configuration, name)
                // Something whole stands behind it: it was no unfinished write.
                if let start = torn {
                    damage.append(IntakeDamage(file: name, range: start..<offset))
                }
                torn = nil
                salt = frame.salt
                for item in frame.items {
                    switch item {
                    case .taken(let number, let payload):
                        payloads[number] = payload
                        journal.places[number] = sequence
                        file.live += 1
                        journal.nextNumber = max(journal.nextNumber, number + 1)
                    case .done(let number):
                        done.insert(number)
                        journal.nextNumber = max(journal.nextNumber, number + 1)
                    }
                }
                offset += size
            }
            journal.files.append(file)
            journal.nextSequence = sequence + 1
        }
        for number in done { journal.forget(number) }
        let records = payloads.filter { !done.contains($0.key) }
            .sorted { $0.key < $1.key }
            .map { (number: $0.key, payload: $0.value) }
        return Recovered(journal: journal, records: records, damage: damage)
    }

    private static func check(
        _ frame: IntakeFrame,
        _ configuration: JournalConfiguration,
        _ file: String
    ) throws(JournalError) {
        guard frame.node == configuration.node else {
            throw .otherNode(file: file, found: frame.node, expected: configuration.node)
        }
        if let cluster = frame.cluster, cluster != configuration.cluster {
            throw .otherCluster(file: file, found: cluster, expected: configuration.cluster)
        }
    }
}

/// Part of an intake file that is not what was written.
package struct IntakeDamage: Hashable, Sendable {
    package var file: String
    /// Bytes of the file.
    package var range: Range<Int>
}

/// Names of intake files: `intake-`, 16 hexadecimal digits of the sequence number, `.rec`.
package enum IntakeName {
    package static func file(_ sequence: UInt64) -> String {
        let digits = String(sequence, radix: 16)
        return "intake-" + String(repeating: "0", count: 16 - digits.count) + digits + ".rec"
    }

    package static func sequence(_ file: String) -> UInt64? {
        guard file.utf8.count == 27, file.hasPrefix("intake-"), file.hasSuffix(".rec") else {
            return nil
        }
        guard let sequence = UInt64(file.dropFirst(7).dropLast(4), radix: 16) else { return nil }
        return self.file(sequence) == file ? sequence : nil
    }
}
