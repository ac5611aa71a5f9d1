/// One step on the files of a node's data directory.
///
/// File names are flat: no directories.
package enum DiskOperation: Hashable, Sendable {
    /// Makes a new file of this size that reads as zeroes, its space reserved. An existing file of
    /// that name is an error. Where it fails, there is no such file.
    case create(file: String, size: Int)
    /// Writes all the bytes at an offset, within the file's size or extending it.
    case write(file: String, offset: Int, bytes: [UInt8])
    /// Makes the file's contents and size durable (`fdatasync`).
    case sync(file: String)
    /// Makes creations, renames and removals durable (`fsync` of the directory).
    case syncDirectory
    /// Renames over an existing file of the new name.
    case rename(from: String, to: String)
    case remove(file: String)
    /// Cuts or extends a file to this size.
    case truncate(file: String, size: Int)
}

/// A failed step on the disk.
///
/// After a failed write or sync nothing that was written since the last good sync may be trusted,
/// and trying again is no remedy: the node has to stop.
package struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, with the file's name.
    package var operation: String
    /// The system's error number, such as ENOSPC.
    package var code: Int32
    package init(operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }
    package var description: String { "\(operation) failed with errno \(code)" }

    /// The disk, or what its owner may use of it, is full: ENOSPC or EDQUOT.
    package var isLackOfRoom: Bool { code == 28 || code == 122 }
}

/// The files of one data directory; synchronous.
///
/// Production: `FileDisk` of the Reactor; tests and the simulator have their own, with faults.
package protocol Disk {
    /// Names of all files, sorted.
    mutating func list() throws(DiskError) -> [String]
    mutating func size(of file: String) throws(DiskError) -> Int
    /// Up to `count` bytes; fewer only at the end of the file.
    mutating func read(_ file: String, at offset: Int, count: Int) throws(DiskError) -> [UInt8]
    mutating func perform(_ operation: DiskOperation) throws(DiskError)
}

/// Steps to be done in order, the last of which makes them durable.
///
/// At most one is under way.
package struct DiskBatch: Hashable, Sendable {
    package var number: UInt64
    package var operations: [DiskOperation]
    package init(number: UInt64, operations: [DiskOperation]) {
        self.number = number
        self.operations = operations
    }

    /// Whether a failure of the step at `position` leaves all that counts as it was, so that the batch
    /// may be tried again: there was no room, and the first step was to make a file, or nothing was
    /// touched but a segment in the making.
    package func isUntouched(by error: DiskError, at position: Int) -> Bool {
        guard error.isLackOfRoom else { return false }
        if position == 0, case .create = operations.first { return true }
        return operations[...position].allSatisfy { operation in
            switch operation {
            case .create(let file, _), .write(let file, _, _), .sync(let file):
                file.hasSuffix(SegmentName.unfinished)
            case .syncDirectory: true
            default: false
            }
        }
    }
}

/// A read that may go on beside a batch.
package struct DiskRead: Hashable, Sendable {
    package var number: UInt64
    package var file: String
    package var offset: Int
    package var count: Int
    package init(number: UInt64, file: String, offset: Int, count: Int) {
        self.number = number
        self.file = file
        self.offset = offset
        self.count = count
    }
}
