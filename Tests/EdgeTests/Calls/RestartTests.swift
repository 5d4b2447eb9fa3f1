import NIOCore
import RPC
import ServiceKit
import ServiceLifecycle
import Testing

@testable import Edge

/// Waiting for the service is bounded by time; no test comes near that bound.
@Suite struct RestartTests {
  private func service(_ methods: [MethodDefinition], port: Int) -> RPCServer {
    var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: port))
    configuration.shutdownGrace = .milliseconds(1)
    return RPCServer(
      services: [ServiceDefinition(name: "mainstreet.store.v1.StoreService", methods: methods)],
      configuration: configuration, eventLoopGroup: loops.service, admit: { _, _ in }, logger: .quiet)
  }

  /// Makes a request, cuts its service off in the middle of it, and starts another in the service's place.
  private func restart(
    _ method: String, during request: @escaping @Sendable (EdgeUnderTest) async throws -> RawResponse
  ) async throws -> (response: RawResponse, callsAfter: Int, metrics: String) {
    let metrics = MetricsRegistry()
    let started = Signal()
    let stuck = MethodDefinition.unary(method) { request, _ in
      await started.raise()
      try await untilCancelled()
      return request
    }
    let calls = Count()
    let well = MethodDefinition.unary(method) { request, _ in
      calls.add(1)
      return request
    }
    let first = service([stuck], port: 0)
    let group = ServiceGroup(services: [first], logger: .quiet)
    let run = Task { try await group.run() }
    let port = try await first.boundAddress.port ?? 0
    return try await withEdge(store: .tcp(host: "127.0.0.1", port: port), metrics: metrics) { edge in
      let answer = Task { try await request(edge) }
      await started.wait()
      await group.triggerGracefulShutdown()
      _ = await run.result
      let second = service([well], port: port)
      let response = try await running([second]) { try await answer.value }
      return (response, calls.value, metrics.exposition())
    }
  }

  @Test("A service that restarts during a GET is not seen by the client")
  func read() async throws {
    let (response, calls, metrics) = try await restart("GetStore") { edge in
      try await edge.request("GET", "/stores/\(EdgeUnderTest.tenant)")
    }
    #expect(response.status == 200)
    #expect(calls == 1)
    let method = #"method="/mainstreet.store.v1.StoreService/GetStore""#
    #expect(metrics.contains("rpc_client_requests_total{\(method),code=\"OK\"} 1\n"))
    #expect(metrics.contains("rpc_client_further_attempts_total{\(method),reason=\"retry\"}"))
  }

  @Test("What is not idempotent is not made again when its service goes down, and fails as 503")
  func write() async throws {
    let (response, calls, metrics) = try await restart("CreateStore") { edge in
      try await edge.request("POST", "/stores", #"{"name":"Corner shop","timezone":"Europe/Berlin"}"#)
    }
    #expect(response.status == 503)
    #expect(calls == 0)
    let method = #"method="/mainstreet.store.v1.StoreService/CreateStore""#
    #expect(metrics.contains("rpc_client_requests_total{\(method),code=\"UNAVAILABLE\"} 1\n"))
    #expect(!metrics.contains("rpc_client_further_attempts_total"))
  }
}
