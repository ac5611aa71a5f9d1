import FoundationEssentials
package import Replica
import Server

/// Regions and the round trips between them.
package struct RegionMatrix: Hashable, Sendable {
    package var name: String
    package var regions: [String]
    /// Milliseconds, both ways together; symmetric, zero with oneself.
    package var milliseconds: [[Double]]

    package var count: Int { regions.count }

    package var roundTrips: RoundTrips {
        var trips = RoundTrips(count: count)
        for a in 0..<count {
            for b in 0..<count where a != b {
                trips[a, b] = UInt64((milliseconds[a][b] * 1_000_000).rounded())
            }
        }
        return trips
    }

    /// From the sides above the diagonal, row by row.
    private init(_ name: String, _ regions: [String], _ sides: [Double]) {
        self.name = name
        self.regions = regions
        milliseconds = regions.map { _ in Array(repeating: 0, count: regions.count) }
        var place = 0
        for a in regions.indices {
            for b in regions.indices where b > a {
                milliseconds[a][b] = sides[place]
                milliseconds[b][a] = sides[place]
                place += 1
            }
        }
    }

    /// Round trips as they have been measured between regions of a public cloud, rounded; what is
    /// called by figures alone is made up.
    package static let known: [RegionMatrix] = [
        RegionMatrix(
            "virginia-ireland-singapore",
            ["virginia", "ireland", "singapore"],
            [81, 217, 175]
        ),
        RegionMatrix("80-150-220", ["a", "b", "c"], [80, 150, 220]),
        RegionMatrix("virginia-ireland-oregon", ["virginia", "ireland", "oregon"], [81, 88, 137]),
        RegionMatrix(
            "virginia-frankfurt-tokyo",
            ["virginia", "frankfurt", "tokyo"],
            [89, 145, 237]
        ),
        RegionMatrix(
            "ireland-frankfurt-virginia",
            ["ireland", "frankfurt", "virginia"],
            [20, 81, 88]
        ),
        RegionMatrix("10-20-25", ["near", "middle", "far"], [10, 20, 25]),
        RegionMatrix(
            "five-continents",
            ["virginia", "ireland", "singapore", "oregon", "frankfurt"],
            [81, 217, 88, 89, 175, 137, 20, 165, 162, 158]
        ),
    ]

    /// The one that is taken when none is named.
    package static func standard(nodes: Int) -> RegionMatrix? {
        known.first { $0.count == nodes }
    }

    private struct Document: Decodable {
        var regions: [String]
        var round_trip_ms: [[Double]]
    }

    package static let mostRegions = LocalCluster.maxNodes

    /// A matrix by its name, or else read from a file (JSON5).
    ///
    /// Throws what is wrong with it.
    package static func load(_ name: String) throws(CommandFailure) -> RegionMatrix {
        if let matrix = known.first(where: { $0.name == name }) { return matrix }
        let bytes: [UInt8]
        do throws(ConfigurationError) {
            bytes = try ConfigurationFile(reading: name).bytes
        } catch {
            let names = known.map(\.name).joined(separator: ", ")
            throw CommandFailure(.usage, "--matrix: neither one of \(names) nor a file:\n\(error)")
        }
        return try RegionMatrix(reading: bytes, from: name)
    }

    package init(reading bytes: [UInt8], from path: String) throws(CommandFailure) {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        let document: Document
        do {
            document = try decoder.decode(Document.self, from: Data(bytes))
        } catch {
            throw CommandFailure(
                .usage,
                "\(path): must be {regions: [NAME, …], round_trip_ms: [[…], …]}: \(error)"
            )
        }
        name = path
        regions = document.regions
        milliseconds = document.round_trip_ms
        if let problem { throw CommandFailure(.usage, "\(path): \(problem)") }
    }

    private var problem: String? {
        guard (3...RegionMatrix.mostRegions).contains(count) else {
            return "regions must be 3…\(RegionMatrix.mostRegions), are \(count)"
        }
        for region in regions {
            let isName =
                !region.isEmpty && region.utf8.count <= 64
                && region.utf8.allSatisfy {
                    (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                        || $0 == 45 || $0 == 46 || $0 == 95
                }
            guard isName else {
                return "a region must be 1–64 characters of A-Z a-z 0-9 . _ -, is \"\(region)\""
            }
        }
        guard Set(regions).count == count else { return "regions must differ" }
        guard milliseconds.count == count, milliseconds.allSatisfy({ $0.count == count }) else {
            return "round_trip_ms must be \(count) rows of \(count)"
        }
        for a in 0..<count {
            for b in 0..<count {
                let value = milliseconds[a][b]
                let place = "round_trip_ms: \(regions[a]) to \(regions[b])"
                if a == b, value != 0 { return "\(place) must be 0, is \(value)" }
                guard value >= 0, value <= 2000 else {
                    return "\(place) must be 0…2000, is \(value)"
                }
                guard value == milliseconds[b][a] else {
                    return "\(place) is \(value), the other way \(milliseconds[b][a])"
                }
            }
        }
        return nil
    }
}
