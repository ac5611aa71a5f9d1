package import HTTP

/// Why a request was refused, as RFC 9457 has it.
///
/// Equal problems have equal bytes. Nothing in one is taken from a body or a header, so no digit,
/// token or signature can come back in it.
package struct Problem: Error, Hashable, Sendable {
    /// What `type`, `status` and `title` follow from.
    package struct Kind: Hashable, Sendable {
        /// The last part of `type`; stable, for programs to compare.
        package let name: String
        package let status: Int
        package let title: String
        package init(_ name: String, _ status: Int, _ title: String) {
            self.name = name
            self.status = status
            self.title = title
        }
    }

    package var kind: Kind
    package var detail: String
    /// The part of the request that is wrong: a member's path, a header's or a parameter's name.
    package var field: String?
    /// The names of the fields that differ from what was said before, sorted.
    package var differs: [String] = []
    /// The node that leads as far as this one knows.
    package var leader: UInt32?
    /// Seconds after which to ask again; also in `Retry-After`.
    package var retryAfter: UInt32?
    /// The bound that was reached.
    package var limit: Int?
    /// Headers that the status asks for besides `Retry-After`.
    package var headers: [Header] = []

    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: String
    }

    package init(_ kind: Kind, _ detail: String) {
        self.kind = kind
        self.detail = detail
    }

    package var status: Int { kind.status }
    package static let typePrefix = "urn:verdict:problem:"
    package static let contentType = "application/problem+json"

    /// The document, members in a fixed order, absent ones left out.
    package var body: [UInt8] {
        var json = JSONText()
        json.beginObject()
        json.member("type", Problem.typePrefix + kind.name)
        json.member("title", kind.title)
        json.member("status", kind.status)
        json.member("detail", detail)
        if let field { json.member("field", field) }
        if !differs.isEmpty {
            json.key("differs")
            json.beginArray()
            for name in differs { json.string(name) }
            json.endArray()
        }
        if let limit { json.member("limit", limit) }
        if let leader { json.member("leader", leader) }
        if let retryAfter { json.member("retry_after", retryAfter) }
        json.endObject()
        return json.bytes
    }

    package var response: Response {
        var fields = Headers()
        for header in headers { fields.append(header.name, header.value) }
        if let retryAfter { fields.append("Retry-After", String(retryAfter)) }
        return Response(
            status: status,
            contentType: Problem.contentType,
            headers: fields,
            body: body
        )
    }
}
