import Raft
import Replica
import Testing

@Suite("Frames between nodes")
struct FrameTests {
    /// What comes of bytes: frames, then perhaps an error.
    private static func decode(_ bytes: [UInt8]) -> (frames: [PeerFrame], error: WireError?) {
        var decoder = FrameDecoder()
        decoder.feed(bytes)
        var frames: [PeerFrame] = []
        do {
            while let frame = try decoder.next() { frames.append(frame) }
            return (frames, nil)
        } catch {
            return (frames, error)
        }
    }

    /// A frame with any type and body, whose checksum is right.
    private static func frame(type: UInt8, body: [UInt8]) -> [UInt8] {
        header(type, UInt32(body.count)) + little(checksum(of: body)) + body
    }
    /// A header up to the checksum of its body.
    private static func header(
        _ type: UInt8,
        _ length: UInt32,
        reserved: [UInt8] = [0, 0]
    ) -> [UInt8] {
        let covered = [Frame.version, type] + reserved + little(length)
        return Array("VDCT".utf8) + covered + little(checksum(of: covered))
    }
    /// CRC-32C bit by bit, as it is defined (RFC 3720 §12.1).
    private static func checksum(of bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(UInt32.max) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in
                sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1
            }
        }
    }
    private static func little(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }

    @Test("every kind of frame arrives as it was sent", arguments: FrameSamples.table)
    func roundTrip(frame: PeerFrame) {
        let (frames, error) = FrameTests.decode(frame.encoded)
        #expect(frames == [frame])
        #expect(error == nil)
    }

    @Test("any frame arrives as it was sent, one after the other")
    func randomRoundTrips() {
        var generator = FrameGenerator(seed: 1)
        var sent: [PeerFrame] = []
        var bytes: [UInt8] = []
        for _ in 0..<3000 {
            sent.append(generator.next())
            sent[sent.count - 1].encode(into: &bytes)
        }
        let (frames, error) = FrameTests.decode(bytes)
        #expect(frames == sent)
        #expect(error == nil)
    }

    @Test("a stream that comes in pieces, split at any byte, decodes the same")
    func splits() throws {
        let sent = FrameSamples.table
        let bytes = sent.flatMap(\.encoded)
        for split in 0...bytes.count {
            var decoder = FrameDecoder()
            var frames: [PeerFrame] = []
            for piece in [bytes[..<split], bytes[split...]] {
                decoder.feed(piece)
                while let frame = try decoder.next() { frames.append(frame) }
            }
            guard frames == sent, decoder.bufferedBytes == 0 else {
                Issue.record("split at \(split): \(frames.count) of \(sent.count) frames")
                return
            }
        }
        var decoder = FrameDecoder()
        var frames: [PeerFrame] = []
        for byte in bytes {
            decoder.feed(CollectionOfOne(byte))
            while let frame = try decoder.next() { frames.append(frame) }
        }
        #expect(frames == sent)
    }

    @Test("a frame that was cut short is waited for", arguments: FrameSamples.table)
    func truncation(frame: PeerFrame) {
        let bytes = frame.encoded
        for length in 0..<bytes.count {
            let (frames, error) = FrameTests.decode(Array(bytes[..<length]))
            guard frames.isEmpty, error == nil else {
                Issue.record(
                    "\(length) of \(bytes.count) bytes: \(frames), \(String(describing: error))"
                )
                return
            }
        }
    }

    @Test("a changed byte is noticed wherever it is", arguments: FrameSamples.table)
    func changedByte(frame: PeerFrame) {
        let bytes = frame.encoded
        for position in bytes.indices {
            for change: UInt8 in [0x01, 0x80, 0xFF] {
                var changed = bytes
                changed[position] ^= change
                // A changed length too: it must not be waited for.
                let (frames, error) = FrameTests.decode(changed)
                guard frames.isEmpty, error != nil else {
                    Issue.record("byte \(position) changed by \(change): \(frames)")
                    return
                }
            }
        }
    }

    @Test("a body that ends early, or goes on, is no message", arguments: FrameSamples.table)
    func bodyLengths(frame: PeerFrame) {
        let bytes = frame.encoded
        let body = Array(bytes[Frame.headerLength...])
        for length in 0..<body.count {
            let (frames, error) = FrameTests.decode(
                FrameTests.frame(type: bytes[5], body: Array(body[..<length]))
            )
            guard frames.isEmpty, error != nil else {
                Issue.record("\(length) of \(body.count) bytes of body: \(frames)")
                return
            }
        }
        let (frames, error) = FrameTests.decode(FrameTests.frame(type: bytes[5], body: body + [0]))
        #expect(frames.isEmpty)
        #expect(error == .invalid(field: "trailing bytes"))
    }

    @Test("a body with any byte changed, its checksum made to fit, is a message or an error")
    func forgedBodies() {
        for frame in FrameSamples.table {
            let bytes = frame.encoded
            let body = Array(bytes[Frame.headerLength...])
            for position in body.indices {
                for value: UInt8 in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
                    var changed = body
                    changed[position] = value
                    let (frames, error) = FrameTests.decode(
                        FrameTests.frame(type: bytes[5], body: changed)
                    )
                    guard frames.count == (error == nil ? 1 : 0) else {
                        Issue.record("\(frame), byte \(position): \(frames)")
                        return
                    }
                    // What decodes is a message like any other: it goes out and in again.
                    for frame in frames {
                        guard FrameTests.decode(frame.encoded).frames == [frame] else {
                            Issue.record("\(frame) does not arrive as it was sent")
                            return
                        }
                    }
                }
            }
        }
    }

    @Test("noise with a good checksum is a message or an error, never a trap")
    func noise() {
        var random = SeededGenerator(seed: 2)
        var errors = 0
        for _ in 0..<30_000 {
            var body = (0..<random.below(120)).map { _ in
                // Small numbers make counts and lengths that nearly fit.
                random.chance(percent: 60) ? UInt8(random.below(4)) : UInt8(random.below(256))
            }
            if !body.isEmpty { body[0] = UInt8(random.below(9)) }
            let type = UInt8(random.below(5))
            if FrameTests.decode(FrameTests.frame(type: type, body: body)).error != nil {
                errors += 1
            }
        }
        #expect(errors > 20_000)
        for _ in 0..<2000 {
            let bytes = (0..<200).map { _ in UInt8(random.below(256)) }
            #expect(FrameTests.decode(bytes).error == .badMagic)
        }
    }

    @Test("a count or length that lies is refused before memory is taken for it")
    func hostileCounts() {
        let huge = FrameTests.little(.max)
        // Forward, its number, incarnation.
        let forwardHead = [2] + [UInt8](repeating: 0, count: 16)
        let forward = FrameTests.decode(FrameTests.frame(type: 3, body: forwardHead + huge))
        #expect(forward.error == .invalid(field: "number of requests"))
        // One request: its sequence, and whether there is a definition.
        let request = forwardHead + FrameTests.little(1) + [UInt8](repeating: 0, count: 8)
        let command = FrameTests.decode(
            FrameTests.frame(type: 3, body: request + [0] + huge + [0])
        )
        #expect(command.error == .invalid(field: "command length"))
        let definition = FrameTests.decode(
            FrameTests.frame(type: 3, body: request + [1] + huge + [0])
        )
        #expect(definition.error == .invalid(field: "definition length"))
        let name = FrameTests.decode(FrameTests.frame(type: 1, body: huge + [0]))
        #expect(name.error == .invalid(field: "cluster name"))
        let reason = FrameTests.decode(FrameTests.frame(type: 2, body: [2, 0] + huge))
        #expect(reason.error == .invalid(field: "reason"))
        // Raft, from, to, term, AppendEntries, previous, commit, durable, inference, round, repair.
        let head = [1] + [UInt8](repeating: 0, count: 16) + [5] + [UInt8](repeating: 0, count: 49)
        let entries = FrameTests.decode(FrameTests.frame(type: 3, body: head + huge))
        #expect(entries.error == .invalid(field: "number of entries"))
        let entry = [UInt8](repeating: 0, count: 17)
        let payload = FrameTests.decode(
            FrameTests.frame(type: 3, body: head + FrameTests.little(1) + entry + huge)
        )
        #expect(payload.error == .invalid(field: "payload length"))
    }

    @Test("entries behind the end of all indexes are refused")
    func indexOverflow() {
        let head = [1] + [UInt8](repeating: 0, count: 16) + [5] + [UInt8](repeating: 0, count: 8)
        let index = [UInt8](repeating: 0xFF, count: 8)
        let rest = [UInt8](repeating: 0, count: 32) + FrameTests.little(1)
        let entry = [UInt8](repeating: 0, count: 21)
        let result = FrameTests.decode(
            FrameTests.frame(type: 3, body: head + index + rest + entry)
        )
        #expect(result.error == .invalid(field: "previous index"))
    }

    @Test("another version, another protocol and a frame over the limit are told apart")
    func headers() {
        var bytes = PeerFrame.message(.readIndex(round: 1)).encoded
        for version in [0, 1, 3] as [UInt8] {
            bytes[4] = version
            #expect(FrameTests.decode(bytes).error == .badVersion(version))
        }
        #expect(FrameTests.decode(Array("GET / HTTP/1.1\r\n\r\n".utf8)).error == .badMagic)
        func header(_ type: UInt8, _ length: Int, reserved: [UInt8] = [0, 0]) -> [UInt8] {
            FrameTests.header(type, UInt32(length), reserved: reserved) + [0, 0, 0, 0]
        }
        let limit = Frame.maxBodyLength
        #expect(FrameTests.decode(header(3, limit + 1)).error == .tooLong(limit + 1))
        #expect(FrameTests.decode(header(3, limit)).error == nil)
        // Whoever greets is unknown: little memory is kept for it.
        #expect(FrameTests.decode(header(1, 4097)).error == .tooLong(4097))
        #expect(FrameTests.decode(header(2, 4097)).error == .tooLong(4097))
        #expect(FrameTests.decode(header(9, 0)).error == .invalid(field: "frame type"))
        for reserved: [UInt8] in [[1, 0], [0, 1]] {
            let bytes = header(3, 0, reserved: reserved)
            #expect(FrameTests.decode(bytes).error == .invalid(field: "reserved bytes"))
        }
    }

    @Test("the longest payload passes, one byte more does not")
    func payloadLimit() {
        let longest = [UInt8](repeating: 1, count: PeerFrame.maxPayloadLength)
        let fits = PeerFrame.message(.forward([longest]))
        #expect(FrameTests.decode(fits.encoded).frames == [fits])
        let over = PeerFrame.message(.forward([longest + [1]]))
        #expect(FrameTests.decode(over.encoded).error == .invalid(field: "command length"))
    }

    @Test("a refusal longer than its limit is shortened, also within a character")
    func longReason() {
        let reason = String(repeating: "☎", count: 400)
        let (frames, error) = FrameTests.decode(
            PeerFrame.helloReply(.refused(reason, kind: .other)).encoded
        )
        #expect(error == nil)
        guard case .helloReply(.refused(let text, _)) = frames.first else {
            Issue.record("\(frames)")
            return
        }
        #expect(text.hasPrefix(String(repeating: "☎", count: 341)))
    }

    @Test("a long stream leaves nothing behind in the decoder")
    func longStream() throws {
        var decoder = FrameDecoder()
        let bytes = PeerFrame.message(.forward([[UInt8](repeating: 3, count: 5000)])).encoded
        var count = 0
        for round in 0..<200 {
            // The cut moves, so that a part of a frame is always left over.
            let cut = round * 37 % bytes.count
            decoder.feed(bytes[..<cut])
            while try decoder.next() != nil { count += 1 }
            decoder.feed(bytes[cut...])
            while try decoder.next() != nil { count += 1 }
        }
        #expect(count == 200)
        #expect(decoder.bufferedBytes == 0)
    }
}
