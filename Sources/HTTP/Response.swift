/// A response; `Content-Length`, `Connection` and `Date` are the serializer's.
package struct Response: Sendable {
    package var status: Int
    package var headers: Headers
    package var contentType: String?
    package var body: [UInt8]

    package init(
        status: Int,
        contentType: String? = nil,
        headers: Headers = Headers(),
        body: [UInt8] = []
    ) {
        self.status = status
        self.contentType = contentType
        self.headers = headers
        self.body = body
    }
}
