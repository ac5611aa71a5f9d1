/// Bytes that appear in no log line, metric or timeline: a signing secret, or digits keyed in.
///
/// Every way of printing it says `<redacted>`; whoever needs the bytes asks for them by name.
package struct Secret: Sendable {
    package let bytes: [UInt8]

    package init(_ text: String) { bytes = Array(text.utf8) }
    package init(bytes: some Collection<UInt8>) { self.bytes = Array(bytes) }

    package var isEmpty: Bool { bytes.isEmpty }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "<redacted>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
