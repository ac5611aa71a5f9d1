/// The program's version, as `verdict --version` and the metrics say it.
package enum VerdictVersion {
    package static let text = "0.1.0"
}
