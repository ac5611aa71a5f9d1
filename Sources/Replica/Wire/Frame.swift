private import Digest

/// Frames on a peer link: a 20-byte header, then the body.
///
/// ```
/// 0  magic "VDCT"            4
/// 4  version (2)             1
/// 5  type                    1
/// 6  reserved, zero          2
/// 8  length of the body      4, little-endian
/// 12 CRC-32C of bytes 4–11   4, little-endian
/// 16 CRC-32C of the body     4, little-endian
/// ```
/// The header has a checksum of its own: a changed length would else have the receiver wait for a
/// frame that never ends, and stall the link until somebody gives it up.
package enum Frame {
    package static let headerLength = 20
    package static let version: UInt8 = 2
    static let magic: [UInt8] = Array("VDCT".utf8)
    /// Longest body, in bytes; above every limit on what a message may carry.
    package static let maxBodyLength = 32 * 1024 * 1024
    /// Longest body of a greeting, in bytes: whoever sends one is not known yet.
    static let maxGreetingLength = 4096

    package enum Kind: UInt8, Sendable {
        case hello = 1
        case helloReply = 2
        case message = 3
    }

    /// Appends a frame whose body is written by `body`.
    static func append(_ kind: Kind, to out: inout [UInt8], body: (inout [UInt8]) -> Void) {
        let start = out.count
        out.append(contentsOf: magic)
        out.append(version)
        out.append(kind.rawValue)
        out.append(0)
        out.append(0)
        for _ in 0..<3 { out.append(little: UInt32(0)) }
        body(&out)
        let length = UInt32(out.count - start - headerLength)
        patch(&out, at: start + 8, length)
        patch(&out, at: start + 12, CRC32C.checksum(of: out[(start + 4)..<(start + 12)]))
        patch(&out, at: start + 16, CRC32C.checksum(of: out[(start + headerLength)...]))
    }

    private static func patch(_ out: inout [UInt8], at offset: Int, _ value: UInt32) {
        for i in 0..<4 { out[offset + i] = UInt8(truncatingIfNeeded: value >> UInt32(8 * i)) }
    }
}

/// Cuts a stream of bytes into frames.
package struct FrameDecoder: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0

    package init() {}

    /// Bytes held that are not a whole frame yet.
    package var bufferedBytes: Int { buffer.count - start }

    package mutating func feed(_ bytes: some Collection<UInt8>) {
        if start > 0, start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            start = 0
        } else if start > 1 << 16, start > buffer.count / 2 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole frame's meaning, or `nil` until more bytes have come.
    ///
    /// - Throws: `WireError`; the stream cannot be read on after one.
    package mutating func next() throws(WireError) -> PeerFrame? {
        // Before the rest of the header, which another version may have longer or shorter.
        guard buffer.count - start > Frame.magic.count else { return nil }
        for i in 0..<4 where buffer[start + i] != Frame.magic[i] { throw .badMagic }
        let version = buffer[start + 4]
        guard version == Frame.version else { throw .badVersion(version) }
        guard buffer.count - start >= Frame.headerLength else { return nil }
        var header = ByteReader(buffer, from: start + 8, to: start + Frame.headerLength)
        let length = Int(try header.uint32())
        guard
            try header.uint32() == CRC32C.checksum(of: buffer[(start + 4)..<(start + 12)])
        else { throw .badChecksum }
        let sum = try header.uint32()
        guard let kind = Frame.Kind(rawValue: buffer[start + 5]) else {
            throw .invalid(field: "frame type")
        }
        guard buffer[start + 6] == 0, buffer[start + 7] == 0 else {
            throw .invalid(field: "reserved bytes")
        }
        let limit = kind == .message ? Frame.maxBodyLength : Frame.maxGreetingLength
        guard length <= limit else { throw .tooLong(length) }
        let bodyStart = start + Frame.headerLength
        guard buffer.count - bodyStart >= length else { return nil }
        guard CRC32C.checksum(of: buffer[bodyStart..<bodyStart + length]) == sum else {
            throw .badChecksum
        }
        var reader = ByteReader(buffer, from: bodyStart, to: bodyStart + length)
        let frame = try PeerFrame(kind, from: &reader)
        try reader.expectEnd()
        start = bodyStart + length
        return frame
    }
}

package enum PeerFrame: Hashable, Sendable {
    case hello(Hello)
    case helloReply(HelloReply)
    case message(PeerMessage)
}
