import Glibc

/// An address as the system takes it: a family and bytes.
package struct ResolvedAddress: Hashable, Sendable {
    private let storage: [UInt8]
    private let family: Int32

    /// What a host and port mean without asking anybody: the host is an IP address.
    ///
    /// - Returns: `nil` if the host is a name.
    package static func numeric(_ address: HostPort) -> ResolvedAddress? {
        try? lookUp(address, flags: AI_NUMERICHOST | AI_NUMERICSERV).first
    }

    /// The first address of a host; may take seconds, so not for a loop's thread.
    package static func find(_ address: HostPort) throws(SystemError) -> ResolvedAddress {
        if let numeric = numeric(address) { return numeric }
        guard let first = try lookUp(address).first else {
            throw SystemError("resolve \(address)", code: EADDRNOTAVAIL)
        }
        return first
    }

    /// Asks the system's resolver, which may take seconds; not for the loop's thread.
    static func lookUp(_ address: HostPort) throws(SystemError) -> [ResolvedAddress] {
        try lookUp(address, flags: AI_NUMERICSERV)
    }

    private static func lookUp(
        _ address: HostPort,
        flags: Int32
    ) throws(SystemError) -> [ResolvedAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = flags
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(address.host, String(address.port), &hints, &list)
        guard code == 0 else {
            let reason = unsafe String(cString: gai_strerror(code))
            throw SystemError("resolve \(address) (\(reason))", code: EADDRNOTAVAIL)
        }
        var found: [ResolvedAddress] = []
        var next = unsafe list
        while let item = unsafe next {
            let bytes = unsafe UnsafeRawBufferPointer(
                start: item.pointee.ai_addr,
                count: Int(item.pointee.ai_addrlen)
            )
            unsafe found.append(
                ResolvedAddress(storage: Array(bytes), family: item.pointee.ai_family)
            )
            unsafe next = item.pointee.ai_next
        }
        unsafe freeaddrinfo(list)
        guard !found.isEmpty else {
            throw SystemError("resolve \(address)", code: EADDRNOTAVAIL)
        }
        return found
    }

    private init(storage: [UInt8], family: Int32) {
        self.storage = storage
        self.family = family
    }

    func openSocket() throws(SystemError) -> FileDescriptor {
        let kind = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        let number = socket(family, Int32(kind), 0)
        guard number >= 0 else { throw SystemError("socket", code: errno) }
        return FileDescriptor(owning: number)
    }

    func withPointer(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        unsafe storage.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else {
                fatalError("invariant broken: an empty socket address")
            }
            return unsafe body(
                base.assumingMemoryBound(to: sockaddr.self),
                socklen_t(bytes.count)
            )
        }
    }
}

/// Looks host names up beside the loop, since the system's resolver blocks its caller.
package enum Resolver {
    private final class Question: Sendable {
        let address: HostPort
        let completion: @Sendable (Result<[ResolvedAddress], SystemError>) -> Void

        init(
            _ address: HostPort,
            _ completion: @escaping @Sendable (Result<[ResolvedAddress], SystemError>) -> Void
        ) {
            self.address = address
            self.completion = completion
        }

        func answer() {
            do throws(SystemError) {
                completion(.success(try ResolvedAddress.lookUp(address)))
            } catch {
                completion(.failure(error))
            }
        }
    }

    /// Looks a name up on a thread of its own; `completion` is called there.
    package static func lookUp(
        _ address: HostPort,
        completion: @escaping @Sendable (Result<[ResolvedAddress], SystemError>) -> Void
    ) throws(SystemError) {
        let argument = unsafe Unmanaged.passRetained(Question(address, completion))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Question>.fromOpaque(argument).takeRetainedValue().answer()
                return nil
            },
            argument.toOpaque()
        )
        guard code == 0 else {
            unsafe argument.release()
            throw SystemError("start a resolver thread", code: code)
        }
        pthread_detach(thread)
    }
}
