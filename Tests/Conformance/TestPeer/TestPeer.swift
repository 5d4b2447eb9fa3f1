import ArgumentParser
import Glibc

/// The other end of a test: gRPC's own interoperability service and client, made with our runtime.
@main
struct TestPeer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serves and calls grpc.testing.TestService, for tests and benchmarks.",
    subcommands: [Serve.self, Call.self, Load.self])
}

/// Writes a line at once, also where nobody watches a terminal.
func say(_ line: String) {
  _ = Array("\(line)\n".utf8).withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
}
