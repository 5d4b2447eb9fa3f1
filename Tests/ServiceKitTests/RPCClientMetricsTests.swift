import Logging
import NIOCore
import NIOPosix
import Testing

@testable import RPC
@testable import ServiceKit

@Suite("What /metrics tells of a client's connections") struct RPCClientMetricsTests {
  private let quiet = Logger(label: "quiet", factory: { _ in SwiftLogNoOpLogHandler() })
  private let registry = MetricsRegistry()

  @Test("Attempts, failures and calls that wait, by target")
  func unreachable() async throws {
    // It accepts and says nothing.
    let group = MultiThreadedEventLoopGroup.singleton
    let listener = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
    let target = RPCTarget(.tcp(host: "127.0.0.1", port: listener.localAddress?.port ?? 0))
    var configuration = RPCClient.Configuration()
    configuration.connectTimeout = .milliseconds(20)
    // One attempt, however long the test takes.
    configuration.backoff.initial = .seconds(3600)
    configuration.backoff.maximum = .seconds(3600)
    let channel = LoopChannel(
      target: target, resolution: nil, configuration: configuration, eventLoop: group.any(), logger: quiet,
      metrics: ClientConnectionMetrics(target: target, factory: registry))
    let settings = CallSettings(channel.configuration)
    @Sendable func call() -> ClientCall {
      ClientCall(channel, settings, settings.method("/a/B", isIdempotent: false), CallOptions())
    }
    try await channel.eventLoop.submit {
      for _ in 0..<3 { call().begin() }
      // In the same turn of the loop, so that nothing has connected or failed yet.
      #expect(shows("rpc_client_calls_waiting", 3, target))
    }.get()
    await #expect(throws: RPCError.self) { try await call().unary(ByteBuffer()) }
    #expect(shows("rpc_client_calls_waiting", 0, target))
    #expect(shows("rpc_client_connections_attempts_total", 1, target))
    #expect(shows("rpc_client_connections_failures_total", 1, target))
    #expect(shows("rpc_client_connections_open", 0, target))
    #expect(shows("rpc_client_connections_ejections_total", 0, target))
    _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    try await listener.close()
  }

  private func shows(_ name: String, _ value: Int, _ target: RPCTarget) -> Bool {
    let text = registry.exposition()
    let line = "\(name){target=\"\(target)\"} \(value)"
    return text.contains(line + "\n") || text.contains(line + ".0\n")
  }
}
