import FoundationEssentials
import Glibc

/// Why a scenario cannot be played on this machine.
struct NotHere: Error, CustomStringConvertible {
    var description: String
}

/// A small file system in memory, mounted over a directory for as long as the value lives.
final class SmallFileSystem {
    let path: String
    private var ballast: String { path + "/ballast" }

    /// - Throws: `NotHere` where it takes rights that this process does not have.
    init(at path: String, mebibytes: Int) throws {
        self.path = path
        guard geteuid() == 0 else {
            throw NotHere(description: "only root may mount a file system")
        }
        let options = "size=\(mebibytes)m,mode=0700"
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true
        )
        let status = try Child(
            running: "/bin/sh",
            ["sh", "-c", "exec mount -t tmpfs -o \(options) verdict-test \"$0\"", path],
            output: path + ".mount",
            errors: path + ".mount"
        ).exitStatus()
        guard status == 0 else {
            throw NotHere(description: "a tmpfs cannot be mounted here: status \(status)")
        }
    }

    deinit {
        _ = try? Child(
            running: "/bin/sh",
            ["sh", "-c", "exec umount -l \"$0\"", path],
            output: path + ".mount",
            errors: path + ".mount"
        ).exitStatus()
    }

    /// Fills it to the last byte.
    func fill() throws {
        let handle = unsafe open(ballast, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard handle >= 0 else { throw Child.Failure(description: "\(ballast): errno \(errno)") }
        defer { close(handle) }
        for size in [64 * 1024, 512, 1] {
            let bytes = [UInt8](repeating: 0x42, count: size)
            while unsafe write(handle, bytes, size) > 0 {}
        }
        guard errno == ENOSPC else {
            throw Child.Failure(description: "\(ballast) does not fill it: errno \(errno)")
        }
    }

    /// Makes room again.
    func empty() throws {
        guard unsafe unlink(ballast) == 0 else {
            throw Child.Failure(description: "\(ballast): errno \(errno)")
        }
    }
}

/// A library that makes a process's syncs fail or hang while a file is there.
struct FaultyDisk {
    private let directory: String
    private let library: String

    /// Compiles it.
    ///
    /// - Throws: `NotHere` where there is no compiler.
    init(in directory: String) throws {
        self.directory = directory
        library = directory + "/faulty-disk.so"
        let source = directory + "/faulty-disk.c"
        try Data(FaultyDisk.source.utf8).write(to: URL(filePath: source))
        let compiler = try Child(
            running: "/bin/sh",
            [
                "sh", "-c",
                "for c in clang cc; do command -v $c >/dev/null && exec $c -shared -fPIC -O1 -o \"$1\" \"$0\"; done; exit 127",
                source, library,
            ],
            output: source + ".log",
            errors: source + ".log"
        )
        let status = try compiler.exitStatus(within: .seconds(60))
        guard status != 127 else { throw NotHere(description: "there is no C compiler") }
        guard status == 0 else { throw Child.Failure(description: compiler.errors) }
    }

    /// For a node's environment.
    func variables(for node: Int) -> [String: String] {
        [
            "LD_PRELOAD": library, "FAULTY_DISK_FAILS": file("fails", node),
            "FAULTY_DISK_HANGS": file("hangs", node),
        ]
    }

    private func file(_ what: String, _ node: Int) -> String { "\(directory)/\(what)-\(node)" }

    func fail(_ node: Int) throws { try Data().write(to: URL(filePath: file("fails", node))) }
    func hang(_ node: Int) throws { try Data().write(to: URL(filePath: file("hangs", node))) }
    func mend(_ node: Int) {
        for what in ["fails", "hangs"] { unsafe _ = unlink(file(what, node)) }
    }

    private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <unistd.h>

        static int is_there(const char *variable) {
            const char *path = getenv(variable);
            return path && access(path, F_OK) == 0;
        }

        static int faulty(const char *name, int descriptor) {
            int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
            while (is_there("FAULTY_DISK_HANGS")) usleep(10000);
            if (is_there("FAULTY_DISK_FAILS")) {
                errno = EIO;
                return -1;
            }
            return real(descriptor);
        }

        int fdatasync(int descriptor) { return faulty("fdatasync", descriptor); }
        int fsync(int descriptor) { return faulty("fsync", descriptor); }

        """
}
