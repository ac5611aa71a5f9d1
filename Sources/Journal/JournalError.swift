package import Raft

/// Why a data directory's log cannot be used.
package enum JournalError: Error, Hashable, Sendable, CustomStringConvertible {
    case disk(DiskError)
    /// The configured cluster name does not fit the format.
    case invalidClusterName(String)
    /// The directory belongs to another cluster.
    case otherCluster(file: String, found: String, expected: String)
    /// The directory belongs to another node.
    case otherNode(file: String, found: NodeID, expected: NodeID)
    /// A newer program wrote this file.
    case unsupportedVersion(file: String, found: UInt32, supported: UInt32)
    /// Bytes that were durable are not what was written.
    ///
    /// Nothing has been changed or cut: the rest of the log is still there.
    case damaged(file: String, offset: Int, what: String)
    /// A segment file is not there although later ones are.
    case missing(file: String)
    /// The log is damaged and so is the second copy of term and vote: nobody can say what this
    /// node has promised.
    case promiseLost(damage: String)
    /// The directory was being restored from a backup when that came to an end.
    case unfinishedRestore(file: String)

    package var description: String {
        switch self {
        case .disk(let error): "\(error)"
        case .invalidClusterName(let name):
            "the cluster name must have 1 to \(SegmentHeader.maxClusterBytes) bytes: \"\(name)\""
        case .otherCluster(let file, let found, let expected):
            "\(file) belongs to cluster \"\(found)\", this node is of cluster \"\(expected)\""
        case .otherNode(let file, let found, let expected):
            "\(file) belongs to node \(found.number), this is node \(expected.number)"
        case .unsupportedVersion(let file, let found, let supported):
            "\(file) has format version \(found), this program knows up to \(supported)"
        case .damaged(let file, let offset, let what):
            "\(file) is damaged at byte \(offset): \(what)"
        case .missing(let file): "\(file) is missing although later parts of the log are there"
        case .promiseLost(let damage):
            """
            \(damage); and \(Promise.file) is damaged or missing, so nobody can say for whom this \
            node has voted: it must not take part as it is. Move its data directory away and bring \
            the node back as one that lost its disk
            """
        case .unfinishedRestore(let file):
            """
            \(file) is there: the directory was not restored to the end. Empty it and restore it again \
            (verdict restore)
            """
        }
    }
}
