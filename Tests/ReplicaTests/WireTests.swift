import Raft
import Replica
import Testing

/// A seeded generator, the same in every run (SplitMix64).
private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

private let status = NodeStatus(
    role: .leader,
    term: Term(9),
    commitIndex: LogIndex(70),
    appliedIndex: LogIndex(69)
)

private func entry(_ index: UInt64, _ payload: [UInt8]) -> Entry {
    Entry(
        id: EntryID(term: Term(3), index: LogIndex(index)),
        time: Timestamp(milliseconds: 1000 + index),
        kind: payload.isEmpty ? .noop : .command,
        payload: payload
    )
}

private func raft(_ body: Message.Body) -> PeerFrame {
    .message(.raft(Message(from: NodeID(1), to: NodeID(2), term: Term(7), body: body)))
}

private let last = EntryID(term: Term(3), index: LogIndex(41))

/// One of each that can be sent.
private let frames: [PeerFrame] = [
    .hello(Hello(cluster: "bank", from: NodeID(1), to: NodeID(3), incarnation: .max)),
    .helloReply(.welcome(incarnation: 5)),
    .helloReply(.refused("it is of cluster \"other\"")),
    raft(.preVote(VoteRequest(lastEntry: last, isTransfer: false))),
    raft(.preVoteReply(VoteReply(granted: true))),
    raft(.requestVote(VoteRequest(lastEntry: last, isTransfer: true))),
    raft(.requestVoteReply(VoteReply(granted: false))),
    raft(.timeoutNow),
    raft(
        .appendEntries(
            AppendEntries(
                previous: last,
                leaderCommit: LogIndex(40),
                leaderDurable: LogIndex(41),
                readRound: 6,
                entries: []
            )
        )
    ),
    raft(
        .appendEntries(
            AppendEntries(
                previous: last,
                leaderCommit: LogIndex(40),
                leaderDurable: LogIndex(41),
                readRound: 6,
                entries: [entry(42, [1, 2, 3]), entry(43, []), entry(44, [255])]
            )
        )
    ),
    raft(
        .appendEntriesReply(
            AppendEntriesReply(
                result: .accepted(durable: LogIndex(4), matched: LogIndex(5)),
                readRound: 8
            )
        )
    ),
    raft(
        .appendEntriesReply(
            AppendEntriesReply(result: .rejected(at: LogIndex(9), hint: last), readRound: 8)
        )
    ),
    .message(.forward([])),
    .message(.forward([[1], [], [2, 3, 4]])),
    .message(.forwardRefused),
    .message(.readIndex(round: 12)),
    .message(.readIndexReply(round: 12, index: LogIndex(3))),
    .message(.readIndexReply(round: 12, index: nil)),
    .message(.ping(sentAt: Instant(nanoseconds: 99), status)),
    .message(.pong(sentAt: Instant(nanoseconds: 99), status)),
]

private func bytes(_ frame: PeerFrame) -> [UInt8] {
    var bytes: [UInt8] = []
    frame.encode(into: &bytes)
    return bytes
}

/// What a decoder makes of bytes: the frames, and the error that ended it.
private func decode(_ bytes: [UInt8]) -> (frames: [PeerFrame], error: WireError?) {
    var decoder = FrameDecoder()
    decoder.feed(bytes)
    var found: [PeerFrame] = []
    do throws(WireError) {
        while let frame = try decoder.next() { found.append(frame) }
        return (found, nil)
    } catch {
        return (found, error)
    }
}

@Suite("frames between peers")
struct WireTests {
    @Test("every message comes out as it went in", arguments: frames.indices)
    func roundTrip(index: Int) {
        #expect(decode(bytes(frames[index])).frames == [frames[index]])
    }

    @Test("a stream cut anywhere gives the same frames")
    func splits() throws {
        let stream = frames.flatMap(bytes)
        for cut in 0...stream.count {
            var decoder = FrameDecoder()
            var found: [PeerFrame] = []
            for part in [stream[..<cut], stream[cut...]] {
                decoder.feed(part)
                while let frame = try decoder.next() { found.append(frame) }
            }
            try #require(found == frames, "cut at \(cut)")
            try #require(decoder.bufferedBytes == 0)
        }
    }

    @Test("a frame that is not whole yet is waited for", arguments: frames.indices)
    func truncations(index: Int) {
        let whole = bytes(frames[index])
        for length in 0..<whole.count {
            let (found, error) = decode(Array(whole[..<length]))
            #expect(found.isEmpty && error == nil)
        }
    }

    @Test("no changed bit goes unnoticed", arguments: frames.indices)
    func flips(index: Int) {
        let whole = bytes(frames[index])
        for position in whole.indices {
            for bit in 0..<8 {
                var changed = whole
                changed[position] ^= 1 << UInt8(bit)
                let (found, error) = decode(changed)
                // A longer length waits for more; all else is an error. The reserved bytes are
                // covered by the checksum too.
                #expect(found.isEmpty, "byte \(position), bit \(bit)")
                #expect(error != nil || (8..<12).contains(position))
            }
        }
    }

    @Test("bodies that do not decode are errors, whatever their checksum says")
    func hostile() {
        var generator = Generator(state: 1)
        for round in 0..<20_000 {
            let frame = frames[round % frames.count]
            var body = Array(bytes(frame).dropFirst(Frame.headerLength))
            // Change, cut or extend the body, and give it a checksum that holds.
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !body.isEmpty {
                switch Int.random(in: 0..<3, using: &generator) {
                case 0:
                    body[Int.random(in: body.indices, using: &generator)] = .random(
                        in: 0...255,
                        using: &generator
                    )
                case 1: body.removeLast()
                default: body.append(.random(in: 0...255, using: &generator))
                }
            }
            let kind = bytes(frame)[5]
            let (found, error) = decode(sealed(body, kind: kind))
            #expect(found.count == 1 || error != nil)
            if let survivor = found.first {
                #expect(decode(bytes(survivor)).frames == [survivor])
            }
        }
    }

    @Test("a count that lies about what follows reserves nothing")
    func lyingCounts() {
        // A forward of four thousand million commands in nine bytes.
        let body: [UInt8] = [2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]
        #expect(decode(sealed(body, kind: 3)).error == .invalid(field: "number of commands"))
    }

    @Test("another protocol, version or length is told as what it is")
    func foreign() {
        #expect(decode(Array("GET / HTTP/1.1\r\n\r\n".utf8)).error == .badMagic)
        var other = bytes(frames[0])
        other[4] = 2
        #expect(decode(other).error == .badVersion(2))
        var long = bytes(frames[0])
        long.replaceSubrange(8..<12, with: [0xff, 0xff, 0xff, 0x7f])
        #expect(decode(long).error == .tooLong(0x7fff_ffff))
        var changed = bytes(frames[0])
        changed[changed.count - 1] ^= 1
        #expect(decode(changed).error == .badChecksum)
    }

    /// A frame around a body, with the checksum it should have.
    private func sealed(_ body: [UInt8], kind: UInt8) -> [UInt8] {
        let length = UInt32(body.count)
        var covered: [UInt8] = [1, kind, 0, 0]
        for shift in [0, 8, 16, 24] as [UInt32] {
            covered.append(UInt8(truncatingIfNeeded: length >> shift))
        }
        var sum: UInt32 = 0xffff_ffff
        for byte in covered + body {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82f6_3b78 : sum >> 1 }
        }
        sum = ~sum
        let check = [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: sum >> UInt32($0)) }
        return Array("VDCT".utf8) + covered + check + body
    }
}
