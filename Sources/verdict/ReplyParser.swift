/// Reads one HTTP/1.1 reply as it arrives.
package struct ReplyParser {
    private enum Body {
        case length(Int)
        case chunked
        case untilClosed
    }
    private let isBodyless: Bool
    private var buffer: [UInt8] = []
    private var head: (status: Int, headers: [(name: String, value: String)], body: Body)?

    package init(isBodyless: Bool = false) { self.isBodyless = isBodyless }

    /// - Returns: the reply once it is whole.
    package mutating func receive(
        _ bytes: some Collection<UInt8>
    ) throws(HTTPClient.Failure) -> HTTPClient.Reply? {
        buffer += bytes
        guard buffer.count <= HTTPClient.maxReplyBytes else { throw malformed("is too large") }
        while head == nil {
            guard try takeHead() else { return nil }
        }
        guard let head else { return nil }
        switch head.body {
        case .length(let length):
            guard buffer.count >= length else { return nil }
            return reply(Array(buffer.prefix(length)))
        case .chunked:
            return try ReplyParser.unchunked(buffer).map(reply)
        case .untilClosed: return nil
        }
    }

    /// The stream has ended.
    package func finish() throws(HTTPClient.Failure) -> HTTPClient.Reply {
        guard let head, case .untilClosed = head.body else {
            throw HTTPClient.Failure(description: "the connection closed before the whole reply")
        }
        return reply(buffer)
    }

    private func reply(_ body: [UInt8]) -> HTTPClient.Reply {
        HTTPClient.Reply(status: head?.status ?? 0, headers: head?.headers ?? [], body: body)
    }

    /// Takes a head off the buffer, passing over interim ones (1xx).
    /// - Returns: whether there was a whole one.
    private mutating func takeHead() throws(HTTPClient.Failure) -> Bool {
        guard let end = ReplyParser.position(of: [13, 10, 13, 10], in: buffer[...]) else {
            return false
        }
        let text = String(decoding: buffer[..<end], as: UTF8.self)
        buffer.removeFirst(end + 4)
        // A line end is one character in Swift, so this splits at CR LF.
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        let start = lines.removeFirst().split(separator: " ", maxSplits: 2)
        guard start.count >= 2, start[0].hasPrefix("HTTP/1."), start[1].utf8.count == 3,
            let status = Int(start[1])
        else { throw malformed("does not begin like HTTP") }
        if (100..<200).contains(status) { return true }

        var headers: [(name: String, value: String)] = []
        var body = Body.untilClosed
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw malformed("has a broken header") }
            let blank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
            var value = parts[1].drop(while: blank)
            while let last = value.last, blank(last) { value.removeLast() }
            headers.append((String(parts[0]), String(value)))
            switch parts[0].lowercased() {
            case "transfer-encoding":
                guard value.lowercased() == "chunked" else {
                    throw malformed("has an unknown transfer encoding")
                }
                body = .chunked
            case "content-length":
                guard let length = Int(value), length >= 0 else {
                    throw malformed("has a broken length")
                }
                if case .untilClosed = body { body = .length(length) }
            default: break
            }
        }
        if isBodyless || status == 204 || status == 304 { body = .length(0) }
        head = (status, headers, body)
        return true
    }

    /// The content of a chunked body; `nil` if it is not whole yet.
    private static func unchunked(_ bytes: [UInt8]) throws(HTTPClient.Failure) -> [UInt8]? {
        var rest = bytes[...]
        var content: [UInt8] = []
        while true {
            guard let end = position(of: [13, 10], in: rest) else { return nil }
            let line = String(decoding: rest[..<end], as: UTF8.self)
            guard let size = Int(line.prefix { $0 != ";" }, radix: 16), size >= 0 else {
                throw malformed("has a broken chunk")
            }
            rest = rest[(end + 2)...]
            // Trailers are nothing to a command.
            if size == 0 { return content }
            guard rest.count >= size + 2 else { return nil }
            content += rest.prefix(size)
            rest = rest.dropFirst(size + 2)
        }
    }

    private static func position(of mark: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= mark.count else { return nil }
        return (bytes.startIndex...bytes.endIndex - mark.count).first {
            bytes[$0..<$0 + mark.count].elementsEqual(mark)
        }
    }
}

private func malformed(_ what: String) -> HTTPClient.Failure {
    HTTPClient.Failure(description: "the reply \(what)")
}
