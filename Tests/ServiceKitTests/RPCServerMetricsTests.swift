import Logging
import NIOCore
import NIOPosix
import RPC
import Testing

@testable import ServiceKit

@Suite("The metrics of an RPC server") struct RPCServerMetricsTests {
  @Test("are in the Prometheus format, a series for each method, before the first call already")
  func exposition() async throws {
    let group = NIOSingletons.posixEventLoopGroup
    let echo = MethodDefinition(name: "Echo", access: .public, handler: .unary { message, _ in message })
    let server = RPCServer(
      services: [ServiceDefinition(name: "a.Service", methods: [echo])],
      configuration: .init(address: .inProcess(InProcessListener())), eventLoopGroup: group,
      admit: { _, _ in }, logger: Logger(label: "quiet", factory: { _ in SwiftLogNoOpLogHandler() }))
    let rpc = ServedRPC()
    #expect(try await rpc.metrics(on: group.any()).get() == "")
    rpc.serve(server)
    let lines = try await rpc.metrics(on: group.any()).get().split(separator: "\n")
    for line in [
      "# TYPE rpc_server_duration_seconds histogram",
      "rpc_server_requests_total{method=\"/a.Service/Echo\",code=\"OK\"} 0",
      "rpc_server_requests_total{method=\"unknown\",code=\"OK\"} 0",
      "rpc_server_duration_seconds_bucket{method=\"/a.Service/Echo\",le=\"1e-05\"} 0",
      "rpc_server_duration_seconds_bucket{method=\"/a.Service/Echo\",le=\"+Inf\"} 0",
      "rpc_server_in_flight{method=\"/a.Service/Echo\"} 0", "rpc_server_connections_open 0",
      "rpc_server_connections_accepted_total 0", "rpc_server_connections_received_bytes_total 0",
    ] {
      #expect(lines.contains { $0 == line }, "\(line)")
    }
    // Nothing is declared twice.
    let types = lines.filter { $0.hasPrefix("# TYPE") }
    #expect(Set(types).count == types.count)
    #expect(try await rpc.connections(on: group.any()).get() == "[]\n")
  }
}
