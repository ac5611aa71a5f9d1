import Glibc

// A reader that has gone away is an error of the write, not a reason to die.
_ = signal(SIGPIPE, SIG_IGN)
exit(Commands.run(Array(CommandLine.arguments.dropFirst())).rawValue)
