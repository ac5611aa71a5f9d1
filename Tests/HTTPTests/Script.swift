import HTTP

/// What a parser said, in a form that compares.
enum Said: Equatable, CustomStringConvertible {
    case request(String)
    case failed(Int)

    var description: String {
        switch self {
        case .request(let text): text
        case .failed(let status): "failed \(status)"
        }
    }
}

func describe(_ request: Request) -> String {
    let headers = request.headers.fields.map { "\($0.name)=\($0.value)" }.joined(separator: "|")
    let body = String(decoding: request.body, as: UTF8.self)
    return "\(request.method.name) \(request.target) [\(headers)] {\(body)}"
        + (request.keepsAlive ? "" : " close")
}

/// Feeds pieces one after the other and pulls after each.
func parse(pieces: [ArraySlice<UInt8>], limits: MessageLimits = MessageLimits()) -> [Said] {
    var parser = RequestParser(limits: limits)
    var said: [Said] = []
    for piece in pieces {
        parser.feed(piece)
        pulling: while true {
            switch parser.next() {
            case .needsMore: break pulling
            case .sendContinue: continue
            case .request(let request): said.append(.request(describe(request)))
            case .failed(let error):
                said.append(.failed(error.status))
                return said
            }
        }
    }
    return said
}

func parse(_ text: String, limits: MessageLimits = MessageLimits()) -> [Said] {
    parse(pieces: [Array(text.utf8)[...]], limits: limits)
}

/// A small deterministic generator (SplitMix64).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}
