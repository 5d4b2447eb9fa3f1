import ArgumentParser
import Glibc

/// What a service does with the database and the queue, cut down to what can be counted: it is there to be killed.
@main
struct FaultPeer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Adds jobs and works them, as a service does, for the tests of faults.",
    subcommands: [MigrateSchema.self, Work.self, Add.self])
}

/// Writes a line at once, also where nobody watches a terminal.
func say(_ line: String, to descriptor: Int32 = STDOUT_FILENO) {
  _ = Array("\(line)\n".utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
}
