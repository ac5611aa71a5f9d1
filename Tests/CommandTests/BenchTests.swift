import HTTP
import Providers
import Testing
import Verification
import verdict

@Suite("load")
struct BenchTests {
    // MARK: Latencies

    @Test(
        "a quantile is within 2 % of the sorted samples'",
        arguments: 1...8 as ClosedRange<UInt64>
    )
    func quantiles(seed: UInt64) {
        var random = seed &* 0x9e37_79b9_7f4a_7c15
        func draw() -> UInt64 {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return random
        }
        var histogram = LatencyHistogram()
        // Of every size from a few microseconds to a minute.
        let samples = (0..<5000).map { _ in 20_000 + draw() >> (28 + draw() % 16) }
        for sample in samples { histogram.add(nanoseconds: sample) }
        let sorted = samples.sorted()
        #expect(histogram.count == 5000)
        #expect(histogram.maximum == sorted.last)
        #expect(histogram.mean == samples.reduce(0, +) / 5000)
        for share in [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1] {
            let right = Double(sorted[Int((share * 5000).rounded(.up)) - 1])
            let told = Double(histogram.quantile(share))
            // A microsecond is as fine as it counts.
            #expect(
                abs(told - right) <= right * 0.02 + 1000,
                "\(share): \(told) for \(right), seed \(seed)"
            )
        }
    }

    @Test("histograms add up, and what came since an earlier one is their difference")
    func sums() {
        var first = LatencyHistogram()
        #expect(first.quantile(0.5) == 0 && first.mean == 0)
        first.add(nanoseconds: 1_000_000)
        let earlier = first
        first.add(nanoseconds: 5_000_000)
        first.add(nanoseconds: UInt64(7200) * 1_000_000_000)
        let later = first.subtracting(earlier)
        #expect(later.count == 2)
        #expect((5_000_000...5_100_000).contains(later.quantile(0.5)))
        var sum = earlier
        sum.add(later)
        #expect(sum.count == 3)
        for share in [0.1, 0.5, 1] { #expect(sum.quantile(share) == first.quantile(share)) }
    }

    // MARK: Requests

    private let secret = "0123456789abcdef0123456789abcdef"
    private let origins = ["http://127.0.0.1:8101", "https://voice.example.com"]
    private var workload: BenchWorkload {
        BenchWorkload(
            hosts: ["127.0.0.1:8101", "127.0.0.1:8102"],
            origins: origins,
            ingestToken: "an-ingest-token",
            twilioSecret: secret,
            prefix: "load"
        )
    }

    private func requests(_ kinds: [BenchWorkload.Kind], node: Int) throws -> [Request] {
        var bytes: [UInt8] = []
        var workload = workload
        for (attempt, kind) in kinds.enumerated() {
            workload.append(kind, attempt: attempt, node: node, to: &bytes)
        }
        var parser = RequestParser(limits: MessageLimits())
        parser.feed(bytes)
        var requests: [Request] = []
        while requests.count < kinds.count {
            guard case .request(let request) = parser.next() else {
                throw NotARequest(number: requests.count)
            }
            requests.append(request)
        }
        #expect(parser.bufferedByteCount == 0)
        return requests
    }
    private struct NotARequest: Error { var number: Int }

    @Test(
        "callbacks are signed for the node they go to, and say what a gather says",
        arguments: 0...1
    )
    func callbacks(node: Int) throws {
        let twilio = try TwilioProvider(secrets: [Secret(secret)])
        let origin = try #require(PublicOrigin(origins[node]))
        let other = try #require(PublicOrigin(origins[1 - node]))
        for request in try requests([.decide, .repeated], node: node) {
            let callback = try twilio.receive(request, at: origin)
            #expect(callback.event == .digits)
            #expect(callback.sequence == 1)
            #expect(callback.wantsDocument)
            #expect(throws: CallbackError.unauthenticated(.signatureMismatch)) {
                try twilio.receive(request, at: other)
            }
        }
    }

    @Test("a repeat is the very bytes of the callback that it repeats")
    func repeats() {
        var first: [UInt8] = []
        var second: [UInt8] = []
        var workload = workload
        workload.append(.decide, attempt: 7, node: 1, to: &first)
        workload.append(.repeated, attempt: 7, node: 1, to: &second)
        #expect(first == second)
        #expect(!first.isEmpty)
    }

    @Test("an opening names the attempt, carries the token and the digits that decide")
    func opening() throws {
        let request = try requests([.open], node: 0)[0]
        #expect(request.method == .put)
        #expect(request.path == "/v1/attempts/load-0000000000")
        #expect(request.headers.first("content-type") == "application/json")
        #expect(request.headers.first("authorization") == "Bearer an-ingest-token")
        let body = String(decoding: request.body, as: UTF8.self)
        let callback = try requests([.decide], node: 0)[0]
        let digits = try #require(
            String(decoding: callback.body, as: UTF8.self).firstMatch(of: /Digits=([0-9]+)/)
        )
        #expect(body.contains(#""digits":"\#(digits.1)""#))
        #expect(body.hasPrefix(#"{"flow":"login","#))
        #expect(
            body.hasSuffix(#""targets":{"verified":"https://bank.example/ivr/load-0000000000"}}"#)
        )
        #expect(workload.attemptName(9_876_543_210) == "load-9876543210")
    }

    // MARK: Answers

    private static func decided(_ attempt: String) -> [UInt8] {
        let target = "https://bank.example/ivr/\(attempt)"
        return Array("<Response><Redirect method=\"POST\">\(target)</Redirect></Response>".utf8)
    }
    private static let openedBody = Array(
        #"{"attempt":"load-0000000007","flow":"login","subject":null,"state":"open"}"#.utf8
    )
    private static let decidedBody = decided("load-0000000007")

    /// What the load thinks of an answer as a node writes it, to a request about attempt 7.
    private func judge(
        _ kind: BenchWorkload.Kind,
        _ status: Int,
        _ disposition: String? = nil,
        body: [UInt8]? = nil,
        isRetried: Bool = false
    ) -> BenchWorkload.Judgement? {
        let right = kind == .open ? BenchTests.openedBody : BenchTests.decidedBody
        let response = Response(
            status: status,
            contentType: "text/xml",
            headers: Headers(disposition.map { [("Verdict-Disposition", $0)] } ?? []),
            body: body ?? right
        )
        var bytes: [UInt8] = []
        ResponseSerializer.append(response, date: "now", keepAlive: true, into: &bytes)
        guard case .answer(let answer) = BenchAnswer.scan(bytes, bytes.indices) else { return nil }
        var workload = workload
        return workload.judge(answer, in: bytes, to: kind, attempt: 7, isRetried: isRetried)
    }

    @Test("the right answers are right, and those that only a retry may get, only then")
    func right() {
        #expect(judge(.open, 201) == .right)
        #expect(judge(.open, 200) == .wrong)
        #expect(judge(.open, 200, isRetried: true) == .right)
        #expect(judge(.decide, 200, "accepted") == .right)
        #expect(judge(.decide, 200, "repeated") == .wrong)
        #expect(judge(.decide, 200, "repeated", isRetried: true) == .right)
        #expect(judge(.repeated, 200, "repeated") == .right)
        #expect(judge(.repeated, 200, "accepted") == .wrong)
        #expect(judge(.repeated, 200, "accepted", isRetried: true) == .wrong)
    }

    @Test("a node that cannot say is not wrong", arguments: BenchWorkload.Kind.allCases)
    func unavailable(kind: BenchWorkload.Kind) {
        #expect(judge(kind, 503) == .unavailable)
        #expect(judge(kind, 408) == .unavailable)
    }

    @Test("an answer that must not be is wrong", arguments: BenchWorkload.Kind.allCases)
    func wrong(kind: BenchWorkload.Kind) {
        for status in [202, 302, 400, 403, 404, 409, 422, 429, 500] {
            #expect(judge(kind, status, "accepted") == .wrong)
            #expect(judge(kind, status, "repeated", isRetried: true) == .wrong)
        }
        guard kind != .open else { return }
        for disposition in ["late", "contradicted", "stale", "mismatched", "acceptee", ""] {
            #expect(judge(kind, 200, disposition) == .wrong)
        }
        #expect(judge(kind, 200) == .wrong)
        let right = kind == .decide ? "accepted" : "repeated"
        #expect(judge(kind, 200, right) == .right)
        let body = BenchTests.decidedBody
        for place in body.indices {
            var changed = body
            changed[place] ^= 1
            #expect(judge(kind, 200, right, body: changed) == .wrong, "byte \(place)")
        }
        for other in [[], body.dropLast(), [0x20] + body, body + [0x0a]] {
            #expect(judge(kind, 200, right, body: Array(other)) == .wrong)
        }
    }

    @Test("the answer of another attempt is wrong", arguments: BenchWorkload.Kind.allCases)
    func anotherAttempt(kind: BenchWorkload.Kind) {
        let body =
            kind == .open
            ? Array(#"{"attempt":"load-0000000008","flow":"login","subject":null}"#.utf8)
            : BenchTests.decided("load-0000000008")
        let (status, disposition) = kind == .open ? (201, nil) : (200, "accepted")
        #expect(judge(kind, status, disposition, body: body) == .wrong)
        #expect(judge(.open, 201, body: [UInt8](#"{"attempt":"load-0"#.utf8)) == .wrong)
    }
}
