package import Raft

/// What a node tells the others of its ways to all of them.
///
/// With everybody's reports each node knows the whole matrix: where a leader would be best, and who
/// cannot hear whom.
package struct RoundTripReport: Hashable, Sendable {
    package struct Item: Hashable, Sendable {
        package var node: NodeID
        /// In microseconds, 1 at least; `nil` until measured.
        package var roundTrip: UInt32?
        /// Milliseconds since the sender last heard from that node; `.max` if it never did.
        package var silence: UInt32
        package init(node: NodeID, roundTrip: UInt32?, silence: UInt32) {
            self.node = node
            self.roundTrip = roundTrip
            self.silence = silence
        }

        /// The sender heard from it lately.
        var isHeard: Bool { silence < 2000 }
    }
    package var items: [Item]
    package init(_ items: [Item]) { self.items = items }

    subscript(node: NodeID) -> Item? { items.first { $0.node == node } }
}

extension RoundTripReport {
    private static let mostItems = 255

    func encode(into out: inout [UInt8]) {
        out.append(little: UInt32(items.count))
        for item in items {
            out.append(little: item.node.number)
            out.append(little: item.roundTrip ?? 0)
            out.append(little: item.silence)
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let count = try reader.count(minimumSize: 12, field: "number of round trips")
        guard count <= RoundTripReport.mostItems else {
            throw .invalid(field: "number of round trips")
        }
        var items: [Item] = []
        items.reserveCapacity(count)
        for _ in 0..<count {
            let node = NodeID(try reader.uint32())
            let trip = try reader.uint32()
            items.append(
                Item(node: node, roundTrip: trip == 0 ? nil : trip, silence: try reader.uint32())
            )
        }
        self.init(items)
    }
}
