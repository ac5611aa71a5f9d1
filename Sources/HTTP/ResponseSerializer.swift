/// Writes responses in wire form onto the end of a buffer.
package enum ResponseSerializer {
    /// The interim answer to `Expect: 100-continue`.
    package static let continueBytes = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    /// Appends a whole response.
    ///
    /// `date` is in `IMFFixdate` form, cached by the caller since it changes once a second. For a
    /// HEAD request (`headOnly`) the body's length is told and the body is not sent.
    package static func append(
        _ response: Response,
        date: String,
        keepAlive: Bool,
        headOnly: Bool = false,
        into bytes: inout [UInt8]
    ) {
        let hasBody = response.status >= 200 && response.status != 204 && response.status != 304
        let needed = 256 + response.headers.bytes.count + response.body.count
        // Growing by exactly what is needed each time would copy the buffer for every response.
        if bytes.capacity - bytes.count < needed {
            bytes.reserveCapacity(max(bytes.capacity * 2, bytes.count + needed))
        }
        bytes.append(contentsOf: "HTTP/1.1 ".utf8)
        append(response.status, into: &bytes)
        bytes.append(.space)
        bytes.append(contentsOf: reason(response.status).utf8)
        bytes.append(contentsOf: "\r\nDate: ".utf8)
        bytes.append(contentsOf: date.utf8)
        if let type = response.contentType {
            bytes.append(contentsOf: "\r\nContent-Type: ".utf8)
            append(value: type.utf8, into: &bytes)
        }
        if hasBody {
            bytes.append(contentsOf: "\r\nContent-Length: ".utf8)
            append(response.body.count, into: &bytes)
        }
        // Said both ways: a client of HTTP/1.0 keeps the connection only when told so.
        bytes.append(
            contentsOf: keepAlive
                ? "\r\nConnection: keep-alive\r\n".utf8 : "\r\nConnection: close\r\n".utf8
        )
        append(response.headers, into: &bytes)
        bytes.append(contentsOf: "\r\n".utf8)
        if hasBody && !headOnly { bytes.append(contentsOf: response.body) }
    }

    static func append(_ headers: Headers, into bytes: inout [UInt8]) {
        for place in headers.places {
            let name = headers.bytes[Int(place.name.lowerBound)..<Int(place.name.upperBound)]
            invariant(
                !name.isEmpty && name.allSatisfy(\.isTokenByte),
                "header name \(String(decoding: name, as: UTF8.self)) is no token"
            )
            bytes.append(contentsOf: name)
            bytes.append(contentsOf: ": ".utf8)
            append(
                value: headers.bytes[Int(place.value.lowerBound)..<Int(place.value.upperBound)],
                into: &bytes
            )
            bytes.append(contentsOf: "\r\n".utf8)
        }
    }

    /// A value may come from outside (a target, a key), so what would end its line is a space here.
    private static func append(value: some Collection<UInt8>, into bytes: inout [UInt8]) {
        for byte in value {
            bytes.append((byte < 0x20 && byte != .tab) || byte == 0x7f ? .space : byte)
        }
    }

    static func append(_ number: Int, into bytes: inout [UInt8]) {
        invariant(number >= 0, "a negative number in a response: \(number)")
        if number >= 10 { append(number / 10, into: &bytes) }
        bytes.append(UInt8(ascii: "0") + UInt8(number % 10))
    }

    /// The reason phrase; for people, since clients read the number.
    package static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        case 507: "Insufficient Storage"
        default: "Status"
        }
    }
}

/// Writes requests in wire form onto the end of a buffer; for clients.
package enum RequestSerializer {
    /// Appends a whole request; `Host` and `Content-Length` are written here.
    package static func append(_ request: Request, host: String, into bytes: inout [UInt8]) {
        bytes.append(contentsOf: request.method.name.utf8)
        bytes.append(.space)
        bytes.append(contentsOf: request.target.utf8)
        bytes.append(contentsOf: " HTTP/1.1\r\nHost: ".utf8)
        bytes.append(contentsOf: host.utf8)
        bytes.append(contentsOf: "\r\n".utf8)
        let takesBody = [.post, .put, .patch].contains(request.method)
        if takesBody || !request.body.isEmpty {
            bytes.append(contentsOf: "Content-Length: ".utf8)
            ResponseSerializer.append(request.body.count, into: &bytes)
            bytes.append(contentsOf: "\r\n".utf8)
        }
        if !request.keepsAlive { bytes.append(contentsOf: "Connection: close\r\n".utf8) }
        ResponseSerializer.append(request.headers, into: &bytes)
        bytes.append(contentsOf: "\r\n".utf8)
        bytes.append(contentsOf: request.body)
    }
}
