// swift-tools-version: 6.2
import PackageDescription

// The rooms and their import rules are held here: a target sees only what it lists. See
// docs/architecture.md for what lives where. No package dependency, by rule.

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(of name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil)
    -> Target
{
    .testTarget(
        name: "\(name)Tests",
        dependencies: dependencies,
        resources: resources,
        swiftSettings: strict
    )
}

let package = Package(
    name: "verdict",
    products: [.executable(name: "verdict", targets: ["verdict"])],
    targets: [
        // C: what Swift does not show of the system, of its libraries and of processors.
        .target(name: "CLinux"),
        .target(name: "CCRC32C"),
        .systemLibrary(
            name: "COpenSSL",
            pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]
        ),

        // Pure: no clock, file, socket, thread or global randomness.
        room("Digest", ["COpenSSL", "CCRC32C"]),
        room("Raft"),
        room("Verification", ["Digest"]),
        room("HTTP"),
        room("Providers", ["Verification", "HTTP", "Digest"]),
        room("Chaos"),

        // Wiring: still sans-I/O.
        room("Journal", ["Raft", "Digest"]),
        room("Store", ["Raft", "Verification", "Journal", "Digest"]),
        room("Replica", ["Raft", "Verification", "Journal", "Store", "Digest"]),

        room("Backup", ["Raft", "Verification", "Journal", "Store", "Digest"]),

        .target(
            name: "Simulator",
            dependencies: [
                "Replica", "Backup", "Raft", "Verification", "Journal", "Store", "Digest",
            ],
            // A world is an object that every event goes through. Exclusive access is checked in the debug
            // build, in which the same seeds are the same runs.
            swiftSettings: strict + [
                .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
            ]
        ),

        // Effects.
        room("Reactor", ["CLinux", "Journal"]),
        room(
            "Server",
            [
                "Raft", "Verification", "Journal", "Store", "Replica", "Digest", "HTTP",
                "Providers", "Reactor",
            ]
        ),
        .executableTarget(
            name: "verdict",
            dependencies: [
                "Server", "Reactor", "Journal", "Store", "HTTP", "Digest", "Providers", "Raft",
                "Replica", "Simulator", "Chaos", "Verification", "Backup",
            ],
            swiftSettings: strict
        ),

        tests(of: "Digest", ["Digest"]),
        tests(of: "Raft", ["Raft"]),
        tests(of: "Verification", ["Verification"]),
        tests(of: "HTTP", ["HTTP"]),
        tests(
            of: "Providers",
            ["Providers", "Verification", "HTTP", "Digest"],
            resources: [.copy("Vectors")]
        ),
        tests(
            of: "Journal",
            ["Journal", "Raft", "Digest"],
            resources: [.copy("Fixtures")]
        ),
        tests(of: "Store", ["Store", "Raft", "Verification", "Journal"]),
        tests(of: "Replica", ["Replica", "Raft", "Verification", "Journal", "Store"]),
        tests(
            of: "Backup",
            ["Backup", "Replica", "Raft", "Verification", "Journal", "Store", "Digest"]
        ),
        tests(of: "Simulator", ["Simulator"]),
        tests(of: "Chaos", ["Chaos"]),
        tests(of: "Reactor", ["Reactor", "CLinux", "Journal", "Raft"]),
        tests(of: "Server", ["Server", "HTTP", "Providers", "Verification"]),

        // Real processes of the command, whole clusters of them.
        tests(of: "Cluster", ["verdict", "Server", "HTTP", "Providers", "Digest"]),

        // This repository's own rules, and the commands of its README against the built command.
        tests(of: "Repository", ["verdict"]),
        tests(
            of: "Command",
            ["verdict", "Server", "HTTP", "Providers", "Verification", "Replica"]
        ),
    ]
)
