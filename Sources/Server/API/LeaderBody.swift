/// The body of `POST /v1/cluster/leader`.
struct LeaderBody: Decodable {
    var node: UInt32
    init(from decoder: any Decoder) throws {
        let object = try StrictObject(from: decoder, at: "", members: ["node"])
        guard
            let node = try object.value(UInt32.self, "node", expected: "a node's number"),
            node > 0
        else { throw Problem.invalid(field: "node", "must be a node's number, 1 or more") }
        self.node = node
    }
}
