import Glibc
import Journal
import Reactor
import Testing

@Suite("files on a real disk")
struct FileDiskTests {
    @Test("made, written, read back, cut, renamed and removed")
    func operations() throws {
        let directory = try TemporaryDirectory()
        var disk = try FileDisk(directory: directory.path)
        #expect(try disk.list() == [])
        try disk.perform(.create(file: "b", size: 10_000))
        try disk.perform(.create(file: "a", size: 0))
        #expect(try disk.list() == ["a", "b"])
        #expect(try disk.size(of: "b") == 10_000)
        #expect(try disk.read("b", at: 9_990, count: 100) == [UInt8](repeating: 0, count: 10))
        #expect(try disk.read("b", at: 20_000, count: 10) == [])
        try disk.perform(.write(file: "b", offset: 5_000, bytes: [1, 2, 3]))
        try disk.perform(.write(file: "a", offset: 2, bytes: [9]))  // extends
        try disk.perform(.sync(file: "b"))
        try disk.perform(.syncDirectory)
        #expect(try disk.read("b", at: 4_999, count: 5) == [0, 1, 2, 3, 0])
        #expect(try disk.read("a", at: 0, count: 9) == [0, 0, 9])
        try disk.perform(.truncate(file: "b", size: 5_002))
        #expect(try disk.read("b", at: 5_000, count: 9) == [1, 2])
        try disk.perform(.rename(from: "a", to: "b"))
        #expect(try disk.list() == ["b"])
        #expect(try disk.read("b", at: 0, count: 9) == [0, 0, 9], "renamed over an older file")
        var again = try FileDisk(directory: directory.path)
        #expect(try again.read("b", at: 0, count: 9) == [0, 0, 9])
        try disk.perform(.remove(file: "b"))
        #expect(try disk.list() == [])
    }

    @Test("who only reads sees what another removes and makes anew, and needs no right to write")
    func onlyReading() throws {
        let directory = try TemporaryDirectory()
        var disk = try FileDisk(directory: directory.path)
        var reading = try FileDisk(directory: directory.path, opensAnew: true)
        try disk.perform(.create(file: "a", size: 7))
        #expect(try reading.size(of: "a") == 7)
        #expect(try reading.read("a", at: 5, count: 9) == [0, 0])
        try disk.perform(.remove(file: "a"))
        try disk.perform(.create(file: "a", size: 3))
        #expect(try reading.size(of: "a") == 3)
        #expect(throws: DiskError.self) {
            try reading.perform(.write(file: "a", offset: 0, bytes: [1]))
        }
    }

    @Test("errors name the operation and the errno")
    func errors() throws {
        let directory = try TemporaryDirectory()
        var disk = try FileDisk(directory: directory.path)
        try disk.perform(.create(file: "a", size: 1))
        #expect(throws: DiskError(operation: "create a", code: EEXIST)) {
            try disk.perform(.create(file: "a", size: 1))
        }
        #expect(throws: DiskError(operation: "open no", code: ENOENT)) {
            try disk.read("no", at: 0, count: 1)
        }
        #expect(throws: DiskError(operation: "remove no", code: ENOENT)) {
            try disk.perform(.remove(file: "no"))
        }
        // More than any disk has: nothing is left behind.
        let error = #expect(throws: DiskError.self) {
            try disk.perform(.create(file: "huge", size: 1 << 60))
        }
        #expect(error?.code == ENOSPC || error?.code == EFBIG)
        #expect(try disk.list() == ["a"])
        #expect(throws: SystemError("open /nowhere/at/all", code: ENOENT)) {
            try FileDisk(directory: "/nowhere/at/all")
        }
    }

    @Test("a file's space is really reserved, and the reserve of the file system is left alone")
    func reserved() throws {
        let directory = try TemporaryDirectory()
        var disk = try FileDisk(directory: directory.path)
        let size = 3 << 20
        try disk.perform(.create(file: "a", size: size))
        var status = stat()
        #expect(unsafe stat(directory.path + "/a", &status) == 0)
        #expect(Int(status.st_blocks) * 512 >= size, "not sparse")
        let free = try disk.free()
        #expect(free > 0)
        var careful = try FileDisk(directory: directory.path, reserve: free + (1 << 40))
        let error = #expect(throws: DiskError.self) {
            try careful.perform(.create(file: "b", size: 1))
        }
        #expect(error?.code == ENOSPC && error?.isLackOfRoom == true)
        #expect(try disk.list() == ["a"])
    }

    @Test("zeroes written ahead never touch what was written, in any order of writes")
    func zeroesAhead() throws {
        let directory = try TemporaryDirectory()
        var disk = try FileDisk(directory: directory.path)
        let size = 1_500_000
        var expected = [UInt8](repeating: 0, count: size)
        try disk.perform(.create(file: "log", size: size))
        var state: UInt64 = 7
        var offset = 0
        for step in 0..<400 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let count = Int(state >> 33) % 9_000 + 1
            // Mostly front to back, as a log is written; now and then far ahead or back.
            let isJump = step % 50 == 49
            let at = isJump ? Int(state >> 20) % (size - 9_000) : min(offset, size - count)
            let bytes = [UInt8](repeating: UInt8(step % 255 + 1), count: count)
            try disk.perform(.write(file: "log", offset: at, bytes: bytes))
            expected.replaceSubrange(at..<at + count, with: bytes)
            if !isJump { offset += count }
        }
        #expect(try disk.size(of: "log") == size, "not a byte longer")
        let isSame = try disk.read("log", at: 0, count: size) == expected
        #expect(isSame)
    }

    @Test("zeroes written ahead spare what was written near a file's end, back to front")
    func zeroesAheadBackwards() throws {
        let directory = try TemporaryDirectory()
        var disk = try FileDisk(directory: directory.path)
        let size = 100_000
        var expected = [UInt8](repeating: 0, count: size)
        try disk.perform(.create(file: "log", size: size))
        for (at, offset) in [0, 90_000, 80_000, 70_000, 10].enumerated() {
            let bytes = [UInt8](repeating: UInt8(at + 1), count: 10)
            try disk.perform(.write(file: "log", offset: offset, bytes: bytes))
            expected.replaceSubrange(offset..<offset + 10, with: bytes)
        }
        let isSame = try disk.read("log", at: 0, count: size) == expected
        #expect(isSame)
    }

    @Test("more files than are kept open can be used")
    func manyFiles() throws {
        let directory = try TemporaryDirectory()
        var disk = try FileDisk(directory: directory.path)
        for number in 0..<150 {
            try disk.perform(.create(file: "f\(number)", size: 512))
            try disk.perform(.write(file: "f\(number)", offset: 3, bytes: [UInt8(number)]))
        }
        for number in 0..<150 {
            #expect(try disk.read("f\(number)", at: 3, count: 1) == [UInt8(number)])
        }
    }

    @Test("a data directory is made once and held by one owner, which is named")
    func lock() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/a/b/"
        do {
            let held = try DataDirectory(path)
            var disk = try held.disk()
            try disk.perform(.create(file: "x", size: 1))
            let error = DataDirectoryError.inUse(path: path, process: "\(getpid())")
            #expect(throws: error) { _ = try DataDirectory(path) }
            #expect("\(error)".contains("in use by another process (\(getpid()))"))
        }
        do {
            let again = try DataDirectory(path)
            var disk = try again.disk()
            #expect(try disk.list() == ["LOCK", "x"])
            for name in ["LOCK", "x"] { try disk.perform(.remove(file: name)) }
        }
        #expect(throws: DataDirectoryError.self) { _ = try DataDirectory("/proc/none/here") }
        unsafe _ = rmdir(directory.path + "/a/b")
        unsafe _ = rmdir(directory.path + "/a")
    }
}
