import ArgumentParser
import Logging
import NIOPosix
import RPC
import ServiceLifecycle
import UnixSignals

/// The server to call, and how.
struct Target: ParsableArguments {
  @Option(help: "The server: host:port or unix:/path; or several, with commas between.")
  var target: String

  @Option(help: "Event loops.")
  var threads = 1

  @OptionGroup var security: ClientTLSOptions

  /// Runs the body with a client, which is shut down in order afterwards.
  func withClient(_ body: @escaping @Sendable (RPCClient) async throws -> Void) async throws {
    let logger = Logger(label: "TestPeer") { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = .warning
      return handler
    }
    var configuration = RPCClient.Configuration()
    configuration.tls = try security.tls
    // As between services of one network, where one that restarted should be found within a second.
    configuration.backoff.initial = .milliseconds(100)
    configuration.backoff.maximum = .seconds(1)
    let client = RPCClient(
      target: try RPCTarget(target), configuration: configuration,
      eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: threads), logger: logger)
    let work = ServiceGroupConfiguration.ServiceConfiguration(
      service: Work(body: { try await body(client) }),
      successTerminationBehavior: .gracefullyShutdownGroup,
      failureTerminationBehavior: .gracefullyShutdownGroup)
    let group = ServiceGroupConfiguration(
      services: [.init(service: client), work], cancellationSignals: [.sigterm, .sigint], logger: logger)
    try await ServiceGroup(configuration: group).run()
  }
}

/// What the process is there for: when it is done, so is the process.
private struct Work: Service {
  let body: @Sendable () async throws -> Void
  func run() async throws { try await body() }
}
