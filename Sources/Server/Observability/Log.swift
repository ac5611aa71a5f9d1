internal import HTTP
package import Verification

/// Writes log lines for people and programs: a time, a level, the component, a message and fields.
///
/// Nothing secret can get in by carelessness: messages and field names are literals, and a field's
/// value is a text, a number, a truth or a time; there is no way in for `Any`, a described value or
/// an interpolated one. Digits, tokens and signatures have types that are none of these.
///
/// A line below the level costs one comparison: its fields are not even made.
package struct Log {
    package enum Level: Int, Comparable, Sendable, CaseIterable {
        case debug, info, warning, error
        package var name: String {
            switch self {
            case .debug: "debug"
            case .info: "info"
            case .warning: "warning"
            case .error: "error"
            }
        }
        package init?(name: String) {
            guard let level = Level.allCases.first(where: { $0.name == name }) else { return nil }
            self = level
        }
        package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }

    package enum Format: Sendable {
        case logfmt, json
    }

    package enum Value: Sendable {
        case text(String)
        case number(Int64)
        case count(UInt64)
        case flag(Bool)
        /// Written in milliseconds, with microseconds behind the point.
        case span(nanoseconds: UInt64)
    }

    package typealias Fields = KeyValuePairs<StaticString, Value>

    /// Lines below it are not written.
    package var level: Level
    package let format: Format
    private let clock: () -> WallTime
    private let sink: ([UInt8]) -> Void

    /// Asks `clock` (UTC) once for each line that is written, and hands `sink` the whole line.
    package init(
        level: Level,
        format: Format,
        clock: @escaping () -> WallTime,
        sink: @escaping ([UInt8]) -> Void
    ) {
        self.level = level
        self.format = format
        self.clock = clock
        self.sink = sink
    }

    package func debug(
        _ component: StaticString,
        _ message: StaticString,
        _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.debug, component, message, fields)
    }
    package func info(
        _ component: StaticString,
        _ message: StaticString,
        _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.info, component, message, fields)
    }
    package func warning(
        _ component: StaticString,
        _ message: StaticString,
        _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.warning, component, message, fields)
    }
    package func error(
        _ component: StaticString,
        _ message: StaticString,
        _ fields: @autoclosure () -> Fields = [:]
    ) {
        write(.error, component, message, fields)
    }

    private func write(
        _ level: Level,
        _ component: StaticString,
        _ message: StaticString,
        _ fields: () -> Fields
    ) {
        guard level >= self.level else { return }
        var line = LogLine(format)
        line.add("time", .text(RFC3339.string(milliseconds: clock().milliseconds)))
        line.add("level", .text(level.name))
        line.add("component", .text("\(component)"))
        line.add("message", .text("\(message)"))
        for (name, value) in fields() { line.add("\(name)", value) }
        sink(line.finished())
    }
}

extension Log.Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral
{
    package init(stringLiteral value: StaticString) { self = .text("\(value)") }
    package init(integerLiteral value: Int64) { self = .number(value) }
    package init(booleanLiteral value: Bool) { self = .flag(value) }
}
