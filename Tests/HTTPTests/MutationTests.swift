import HTTP
import Testing

@Suite("damaged bytes never trap and never depend on how they are split") struct MutationTests {
    @Test("seeded damage gives requests within the limits or a refusal, the same at any split")
    func mutations() {
        var random = SplitMix64(seed: 20_261_124)
        let seeds = RequestParserTests.good.map { Array($0.utf8) }
        let spice = Array("\r\n \t:;,0fF\0\"%chunked".utf8)
        var limits = MessageLimits()
        limits.bodyBytes = 64
        limits.headerBytes = 256
        var refused = 0
        var accepted = 0
        for _ in 0..<6000 {
            var bytes = seeds[Int.random(in: 0..<seeds.count, using: &random)]
            if Bool.random(using: &random) {
                bytes += seeds[Int.random(in: 0..<seeds.count, using: &random)]
            }
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes[place] = spice[Int.random(in: 0..<spice.count, using: &random)]
                case 2: bytes.remove(at: place)
                case 3:
                    bytes.insert(spice[Int.random(in: 0..<spice.count, using: &random)], at: place)
                default:
                    let end = min(bytes.count, place + Int.random(in: 1...20, using: &random))
                    bytes.insert(contentsOf: bytes[place..<end], at: place)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let whole = parse(pieces: [bytes[...]], limits: limits)
            let singly = parse(pieces: bytes.indices.map { bytes[$0...$0] }, limits: limits)
            #expect(whole == singly, "\(bytes)")
            for said in whole {
                switch said {
                case .failed(let status):
                    refused += 1
                    #expect([400, 413, 414, 417, 431, 501, 505].contains(status))
                case .request: accepted += 1
                }
            }
        }
        // Both must have happened often, or this test says nothing.
        #expect(refused > 1000 && accepted > 1000, "\(refused) refused, \(accepted) accepted")
    }

    @Test("what a chunked or counted body holds is within its limit, whatever is claimed")
    func bodyLimit() {
        var random = SplitMix64(seed: 7)
        var limits = MessageLimits()
        limits.bodyBytes = 32
        var largest = 0
        for _ in 0..<2000 {
            var text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let size = Int.random(in: 1...12, using: &random)
                text +=
                    String(size, radix: 16) + "\r\n" + String(repeating: "x", count: size) + "\r\n"
            }
            text += "0\r\n\r\n"
            var parser = RequestParser(limits: limits)
            parser.feed(Array(text.utf8))
            switch parser.next() {
            case .request(let request): largest = max(largest, request.body.count)
            case .failed(let error): #expect(error.status == 413)
            case .needsMore, .sendContinue: Issue.record("the request is whole: \(text)")
            }
        }
        #expect(largest > 24 && largest <= 32)
    }
}
