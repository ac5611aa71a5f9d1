#if VERDICT_MUTANTS
package import Raft
package import Verification
#endif

/// Names of the bugs that can be planted in this build.
package enum Mutants {
    #if VERDICT_MUTANTS
    package static var names: [String] {
        RaftMutation.allCases.map(\.rawValue) + VerificationMutation.allCases.map(\.rawValue)
    }
    #else
    package static var names: [String] { [] }
    #endif
}
