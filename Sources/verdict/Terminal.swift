import Glibc

/// Standard output and standard error.
enum Terminal {
    static func print(_ text: String) { write(text, to: STDOUT_FILENO) }
    static func error(_ text: String) { write(text, to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array((text.hasSuffix("\n") ? text : text + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count)
            }
            if count < 0, errno == EINTR { continue }
            // Nobody is left to be told.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Rows under their headings, columns aligned; numeric columns to the right.
    static func table(_ headings: [String], _ rows: [[String]], right: Set<Int> = []) -> String {
        var text = ""
        let widths = headings.indices.map { column in
            ([headings] + rows).map { $0[column].count }.max() ?? 0
        }
        for row in [headings] + rows {
            let cells = row.enumerated().map { column, cell in
                right.contains(column)
                    ? cell.leftPadded(to: widths[column]) : cell.padded(to: widths[column])
            }
            let line = cells.joined(separator: "  ")
            text += line.prefix(
                upTo: line.lastIndex { $0 != " " }.map(line.index(after:)) ?? line.startIndex
            )
            text += "\n"
        }
        return text
    }
}
