import Glibc
import HTTP
import Testing

extension ClusterTests {
    @Suite("polls")
    struct Polls {
        /// Found by `verdict chaos --seed 2`: a node that was down while an attempt was decided answered
        /// polls from what it had had, before it had caught up.
        @Test("a node that is behind does not send a call on in an attempt that is decided")
        func behind() throws {
            let timers = LocalCluster.quickTimers + ", request_hold_ms: 500"
            try withCluster(timers: timers) { cluster in
                #expect(try cluster.open("va_1", at: 3).status == 201)
                // So that the node has it on its disk, and knows it committed.
                #expect(try cluster.twilio(.voice(), of: "va_1", at: 3).status == 200)
                #expect(try cluster.twilio(.polled(1), of: "va_1", at: 3).status == 200)
                cluster.kill(3)
                let digits = TwilioCallback.gathered(LocalCluster.digits)
                #expect(try cluster.twilio(digits, of: "va_1", at: 1).status == 200)

                for node in [1, 2] { try cluster.signal(node, SIGSTOP) }
                try cluster.start(3)
                try eventually("node 3 answers") {
                    (try? cluster.get("/livez", at: 3, token: nil).status) == 200
                }
                let told = try cluster.twilio(.polled(2), of: "va_1", at: 3)
                #expect(
                    told.headers.first("verdict-pending") == "hold"
                        || told.text.contains("bank.example/ivr/ok"),
                    "\(told)"
                )

                for node in [1, 2] { try cluster.signal(node, SIGCONT) }
                try cluster.awaitReady()
                let later = try cluster.twilio(.polled(3), of: "va_1", at: 3)
                #expect(later.text.contains("https://bank.example/ivr/ok"), "\(later)")
            }
        }
    }
}
