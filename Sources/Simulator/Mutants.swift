/// Names of the bugs that are planted in this build: none.
///
/// `Tests/mutants` builds a copy of the sources with known bugs in it and puts their names here.
package enum Mutants {
    package static let names: [String] = []
}
