import Logging
import MainstreetAPI
import NIOCore
import RPC
import ServiceKit
import Synchronization
import Testing

@testable import Edge

@Suite("Health of the platform")
struct PlatformHealthTests {
  /// A service that says how it is, and a client that asks it.
  private func withService<Result: Sendable>(
    _ readiness: Readiness, _ body: (PlatformHealth.Target) async throws -> Result
  ) async throws -> Result {
    var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
    configuration.shutdownGrace = .seconds(1)
    let server = RPCServer(
      services: [HealthService(services: [], readiness: readiness).serviceDefinition],
      configuration: configuration,
      eventLoopGroup: loops.service, admit: { _, _ in }, logger: .quiet)
    return try await running([server]) {
      let client = Self.client(port: try await server.boundAddress.port ?? 0)
      return try await running([client]) { try await body(.init(name: "store", client: client)) }
    }
  }

  private static func client(port: Int) -> RPCClient {
    var configuration = RPCClient.Configuration()
    configuration.policies.general.readiness = .failFast
    return RPCClient(
      target: .tcp(host: "127.0.0.1", port: port), configuration: configuration, eventLoopGroup: loops.edge,
      logger: .quiet)
  }

  @Test(
    "Each service and its database are told of, under each of the paths",
    arguments: ["/health", "/api/health", "/api/v1/health"])
  func healthy(path: String) async throws {
    let readiness = Readiness(promised: [], readyFile: nil)
    readiness.report(nil, of: "postgres")
    try await withService(readiness) { target in
      let health = PlatformHealth([target], reads: ReadCache(), isServing: { true })
      await health.look()
      try await withEdgeAlone(health) { edge in
        let response = try await edge.request("GET", path)
        #expect(response.status == 200 && response["Content-Type"] == "application/json")
        #expect(response.member("status") == "healthy" && response.member("version") == "1.0.0")
        #expect(response.body.contains(#""services":{"store":{"status":"up","latencyMs":"#))
        #expect(response.body.contains(#""databases":{"store":{"status":"up"}}"#))
        for member in ["uptime", "timestamp", "memory", "cpu", "cache"] {
          #expect(response.body.contains("\"\(member)\":"))
        }
        #expect(!response.body.contains("127.0.0.1"))
        let head = try await edge.request("HEAD", path)
        #expect(head.status == 200 && head.body.isEmpty)
        let post = try await edge.request("POST", path)
        #expect(post.status == 405 && post["Allow"] == "GET, HEAD")
      }
    }
  }

  @Test("A database that is down, and with it its service, is told of")
  func databaseDown() async throws {
    let readiness = Readiness(promised: [], readyFile: nil)
    readiness.report("the host db.internal does not answer", of: "postgres")
    try await withService(readiness) { target in
      let health = PlatformHealth([target], reads: ReadCache(), isServing: { true })
      await health.look()
      try await withEdgeAlone(health) { edge in
        let response = try await edge.request("GET", "/health")
        #expect(response.status == 503 && response.member("status") == "unhealthy")
        #expect(response.body.contains(#""store":{"status":"down""#))
        #expect(response.body.contains(#""databases":{"store":{"status":"down"}}"#))
        #expect(!response.body.contains("db.internal"))
      }
    }
  }

  @Test("With one of two services the platform is degraded and serves; while the Edge drains it does not")
  func degraded() async throws {
    let isServing = Atomic(true)
    try await withService(Readiness(promised: [], readyFile: nil)) { target in
      // Nobody listens there.
      let nobody = Self.client(port: 1)
      try await running([nobody]) {
        let health = PlatformHealth(
          [target, .init(name: "other", client: nobody)], reads: ReadCache(),
          isServing: { isServing.load(ordering: .relaxed) })
        await health.look()
        try await withEdgeAlone(health) { edge in
          let response = try await edge.request("GET", "/health")
          #expect(response.status == 200 && response.member("status") == "degraded")
          #expect(response.body.contains(#""other":{"status":"down""#))
          // A service without a database has none to tell of.
          #expect(response.body.contains(#""databases":{}"#))
          isServing.store(false, ordering: .relaxed)
          let draining = try await edge.request("GET", "/health")
          #expect(draining.status == 503 && draining.member("status") == "unhealthy")
        }
      }
    }
  }
}

/// With nobody behind it.
private func withEdgeAlone(
  _ health: PlatformHealth, _ body: (EdgeUnderTest) async throws -> Void
) async throws {
  try await withEdge(store: .tcp(host: "127.0.0.1", port: 1), health: health, body: body)
}
