/// Stops the process with the reason when an invariant of ours is broken, in release as well.
func invariant(
    _ condition: @autoclosure () -> Bool,
    _ reason: @autoclosure () -> String,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if !condition() { fatalError("invariant broken: \(reason())", file: file, line: line) }
}
