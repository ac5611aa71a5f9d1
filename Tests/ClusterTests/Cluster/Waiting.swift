import Glibc

/// A condition that did not come true in time.
struct TimedOut: Error, CustomStringConvertible {
    var description: String
}

/// Waits until a value is there, asking again and again until the time is over.
///
/// A connection that fails meanwhile, as those to a node that starts or dies do, counts as not yet.
@discardableResult
func eventually<Value>(
    _ what: String,
    within limit: Duration = .seconds(20),
    value: () throws -> Value?
) throws -> Value {
    let deadline = ContinuousClock.now + limit
    var last = "it never came"
    while true {
        do {
            if let value = try value() { return value }
        } catch let failure as Connection.Failure {
            last = failure.description
        }
        guard ContinuousClock.now < deadline else {
            throw TimedOut(description: "not in \(limit): \(what) (\(last))")
        }
        // Between two tries only: no test waits for a time to pass.
        _ = poll(nil, 0, 10)
    }
}

func eventually(
    _ what: String,
    within limit: Duration = .seconds(20),
    isTrue: () throws -> Bool
) throws {
    let _: Void = try eventually(what, within: limit) { try isTrue() ? () : nil }
}
