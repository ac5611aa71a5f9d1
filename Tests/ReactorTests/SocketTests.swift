import Glibc
import Reactor
import Testing

/// Waits until an event for a token comes.
private func wait(_ poller: inout Poller, for token: UInt64) throws -> Poller.Event {
    var events: [Poller.Event] = []
    while true {
        try poller.wait(nanoseconds: 10_000_000_000, into: &events)
        try #require(!events.isEmpty, "nothing happened in 10 seconds")
        if let event = events.first(where: { $0.token == token }) { return event }
    }
}

/// Two ends of a TCP connection on the loopback interface.
private struct Ends: ~Copyable {
    let client: FileDescriptor
    let server: FileDescriptor

    init(client: consuming FileDescriptor, server: consuming FileDescriptor) {
        self.client = client
        self.server = server
    }

    static func make() throws -> Ends {
        let listener = try Listener(on: HostPort(host: "127.0.0.1", port: 0))
        let client = try Socket.connect(
            to: #require(ResolvedAddress.numeric(HostPort(host: "127.0.0.1", port: listener.port)))
        )
        var poller = try Poller()
        try poller.add(listener.descriptor, token: 1, interest: .read)
        _ = try wait(&poller, for: 1)
        guard case .connection(let server) = listener.accept() else {
            throw SystemError("accept", code: 0)
        }
        try poller.add(client, token: 2, interest: .write)
        _ = try wait(&poller, for: 2)
        let code = Socket.connectionError(client)
        #expect(code == 0)
        return Ends(client: client, server: server)
    }
}

@Suite("sockets")
struct SocketTests {
    @Test("bytes go both ways, and who has none would block", arguments: ["127.0.0.1", "::1"])
    func roundTrip(host: String) throws {
        let listener = try Listener(on: HostPort(host: host, port: 0))
        let port = listener.port
        #expect(port > 0)
        guard case .none = listener.accept() else {
            Issue.record("somebody waits")
            return
        }
        let client = try Socket.connect(
            to: #require(ResolvedAddress.numeric(HostPort(host: host, port: port)))
        )
        var poller = try Poller()
        try poller.add(listener.descriptor, token: 1, interest: .read)
        _ = try wait(&poller, for: 1)
        guard case .connection(let server) = listener.accept() else {
            Issue.record("nobody waits")
            return
        }
        var buffer = [UInt8](repeating: 0, count: 100)
        let nothing = Socket.read(server, into: &buffer)
        #expect(nothing == .wouldBlock)
        let wrote = Socket.write(client, [1, 2, 3, 4], from: 1)
        #expect(wrote == .bytes(3))
        try poller.add(server, token: 7, interest: .read)
        let event = try wait(&poller, for: 7)
        #expect(event.isReadable && !event.isWritable && !event.isBroken)
        let got = Socket.read(server, into: &buffer)
        #expect(got == .bytes(3) && buffer.prefix(3) == [2, 3, 4])
    }

    @Test("an orderly end is told from a reset")
    func endings() throws {
        var buffer = [UInt8](repeating: 0, count: 100)
        do {
            let ends = try Ends.make()
            _ = shutdown(ends.client.number, Int32(SHUT_WR))
            var poller = try Poller()
            try poller.add(ends.server, token: 1, interest: .read)
            _ = try wait(&poller, for: 1)
            let got = Socket.read(ends.server, into: &buffer)
            #expect(got == .closed)
        }
        do {
            let ends = try Ends.make()
            // Closing at once, with nothing left to linger for, sends a reset.
            var linger = linger(l_onoff: 1, l_linger: 0)
            let size = socklen_t(MemoryLayout.size(ofValue: linger))
            unsafe _ = setsockopt(ends.client.number, SOL_SOCKET, SO_LINGER, &linger, size)
            _ = shutdownHard(ends.client.number)
            var poller = try Poller()
            try poller.add(ends.server, token: 1, interest: [])
            let event = try wait(&poller, for: 1)
            #expect(event.isBroken, "told without being asked")
            let got = Socket.read(ends.server, into: &buffer)
            #expect(got == .failed(ECONNRESET))
            let wrote = Socket.write(ends.server, [1], from: 0)
            #expect(wrote == .failed(EPIPE), "an error and no signal")
        }
    }

    /// Puts another file in the socket's place, which closes it while its owner keeps the number.
    private func shutdownHard(_ number: Int32) -> Int32 {
        let other = unsafe open("/dev/null", O_RDONLY)
        defer { _ = close(other) }
        return dup2(other, number)
    }

    @Test("a refused connection is told when the attempt ends")
    func refused() throws {
        let port: UInt16
        do {
            let listener = try Listener(on: HostPort(host: "127.0.0.1", port: 0))
            port = listener.port
        }
        let client = try Socket.connect(
            to: #require(ResolvedAddress.numeric(HostPort(host: "127.0.0.1", port: port)))
        )
        var poller = try Poller()
        try poller.add(client, token: 3, interest: .write)
        _ = try wait(&poller, for: 3)
        let code = Socket.connectionError(client)
        #expect(code == ECONNREFUSED)
    }

    @Test("an address in use and a name that does not exist are errors that say so")
    func badAddresses() throws {
        let listener = try Listener(on: HostPort(host: "127.0.0.1", port: 0))
        let address = HostPort(host: "127.0.0.1", port: listener.port)
        #expect(throws: SystemError("bind \(address)", code: EADDRINUSE)) {
            _ = try Listener(on: address)
        }
        let name = HostPort(host: "name.invalid", port: 1)
        #expect(ResolvedAddress.numeric(name) == nil)
        #expect(throws: SystemError.self) { _ = try Listener(on: name) }
    }

    @Test(
        "a name is looked up beside the loop, and one that does not exist is an error that says so"
    )
    func names() throws {
        let mailbox = try Mailbox<Result<[ResolvedAddress], SystemError>>()
        var poller = try Poller()
        try poller.add(mailbox.event.descriptor, token: 9, interest: .read)
        // A label of a name has at most 63 bytes, so nobody is asked for the second one.
        let long = String(repeating: "x", count: 300)
        var results: [Result<[ResolvedAddress], SystemError>] = []
        for host in ["localhost", long] {
            try Resolver.lookUp(HostPort(host: host, port: 7)) { mailbox.post($0) }
            _ = try wait(&poller, for: 9)
            mailbox.drain(into: &results)
        }
        #expect(results.count == 2)
        let loopback = ResolvedAddress.numeric(HostPort(host: "127.0.0.1", port: 7))
        let found = try #require(results.first).get()
        #expect(found.contains { $0 == loopback })
        let error = #expect(throws: SystemError.self) { try results.last?.get() }
        #expect(error?.operation.contains("resolve \(long):7") == true)
    }

    @Test("a buffer keeps what the socket does not take, and writes it later in order")
    func outputBuffer() throws {
        let ends = try Ends.make()
        var output = OutputBuffer()
        let total = 6_000_000
        output.bytes = (0..<total).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let first = output.write(to: ends.client)
        #expect(first == .wouldBlock)
        #expect(output.count > 0 && output.count < total)
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var poller = try Poller()
        try poller.add(ends.server, token: 1, interest: .read)
        var appended = false
        while received.count < total + 3 {
            _ = try wait(&poller, for: 1)
            while case .bytes(let count) = Socket.read(ends.server, into: &buffer) {
                received += buffer.prefix(count)
            }
            if !appended {
                output.bytes += [1, 2, 3]
                appended = true
            }
            if let stopped = output.write(to: ends.client) { #expect(stopped == .wouldBlock) }
        }
        #expect(output.isEmpty && output.count == 0)
        let isSame =
            received == (0..<total).map { UInt8(truncatingIfNeeded: $0 / 7) } + [1, 2, 3]
        #expect(isSame)
    }

    @Test("an address prints as it is configured, IPv6 in brackets")
    func hostPort() {
        #expect(HostPort(host: "n1.test", port: 65_535).description == "n1.test:65535")
        #expect(HostPort(host: "::1", port: 80).description == "[::1]:80")
    }
}
