import ArgumentParser

/// The other end of a test: gRPC's own interoperability service and client, made with our runtime.
@main
struct TestPeer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serves and calls grpc.testing.TestService, for tests and benchmarks.",
    subcommands: [Serve.self])
}
