import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("secrets")
    struct Secrets {
        private let newSecret = "0123456789abcdef0123456789abcdef"

        @Test("a Twilio secret is rotated without a callback refused: both, then only the new one")
        func rotation() throws {
            try withCluster(nodes: 2) { cluster in
                let oldSecret = cluster.document.providers.twilio.secret
                func status(_ secret: String, at node: Int) throws -> Int {
                    try cluster.twilio(.voice(), of: "va_1", at: node, secret: secret).status
                }
                #expect(try cluster.open("va_1", at: 1).status == 201)
                for node in cluster.numbers {
                    #expect(try status(oldSecret, at: node) == 200)
                    #expect(try status(newSecret, at: node) == 403)
                }

                try cluster.edit(cluster.secretsFile) {
                    $0.replacingFirst(
                        "\"\(oldSecret)\"",
                        with: "\"\(oldSecret)\", \"\(newSecret)\""
                    )
                }
                for node in cluster.numbers {
                    try cluster.signal(node, SIGHUP)
                    try eventually("node \(node) takes the new secret") {
                        try status(newSecret, at: node) == 200
                    }
                    #expect(try status(oldSecret, at: node) == 200)
                }

                try cluster.edit(cluster.secretsFile) {
                    $0.replacingFirst("\"\(oldSecret)\", ", with: "")
                }
                for node in cluster.numbers {
                    try cluster.signal(node, SIGHUP)
                    try eventually("node \(node) refuses the old secret") {
                        try status(oldSecret, at: node) == 403
                    }
                    #expect(try status(newSecret, at: node) == 200)
                }
                let refused = try cluster.twilio(.voice(), of: "va_1", at: 1, secret: oldSecret)
                #expect(refused.problem?.name == "bad-signature")
            }
        }

        @Test("a file of secrets with an error changes nothing, and the log says why")
        func badFile() throws {
            try withCluster(nodes: 1) { cluster in
                #expect(try cluster.open("va_1", at: 1).status == 201)
                try cluster.edit(cluster.secretsFile) {
                    $0.replacingFirst("secrets: [", with: "secrets: [\"short\", ")
                }
                try cluster.signal(1, SIGHUP)
                try eventually("the node says that it did not reload") {
                    try cluster.log(1).contains("secrets not reloaded")
                }
                #expect(try cluster.log(1).contains("secrets.json5:"))
                #expect(try cluster.twilio(.voice(), of: "va_1", at: 1).status == 200)
                #expect(try cluster.open("va_1", at: 1).status == 200)
            }
        }
    }
}
