import MainstreetAPI
import NIOCore
import NIOPosix
import RPC
import Testing

@testable import ServiceKit

@Suite("Health") struct HealthTests {
  private let readiness = Readiness(promised: ["grpc"], readyFile: nil)
  private var service: ServiceDefinition {
    HealthService(services: ["a.Service"], readiness: readiness).serviceDefinition
  }

  private func check(_ name: String) async throws -> HealthCheckResponse.ServingStatus? {
    try await service.call(
      "Check", [HealthCheckRequest(service: name)], returning: HealthCheckResponse.self
    ).first?.status
  }

  @Test(
    "is that of the server for each of its services, and unknown for others", arguments: ["", "a.Service"])
  func check(name: String) async throws {
    #expect(try await check(name) == .notServing)
    readiness.announce("grpc", at: "127.0.0.1:1")
    #expect(try await check(name) == .serving)
    readiness.report("no connection", of: "postgres")
    #expect(try await check(name) == .notServing)
    readiness.report(nil, of: "postgres")
    readiness.drain()
    #expect(try await check(name) == .notServing)
    let error = await #expect(throws: RPCError.self) { try await check("b.Service") }
    #expect(error?.code == .notFound)
  }

  @Test("is told of each part that has been reported of")
  func parts() async throws {
    await #expect(throws: RPCError.self) { try await check("postgres") }
    readiness.report("no connection", of: "postgres")
    #expect(try await check("postgres") == .notServing)
    readiness.report(nil, of: "postgres")
    // Though the server as a whole does not serve.
    #expect(try await check("postgres") == .serving)
    #expect(try await check("") == .notServing)
  }

  @Test("takes no longer request than it needs, since anybody may ask")
  func requestLimit() throws {
    let services = try [ServiceDefinition]().withStandardServices(
      readiness: readiness, reflecting: MainstreetAPI.descriptorSet)
    let limits = services.map { ($0.name, $0.methods.map(\.maxRequestBytes).max() ?? 0) }
    #expect(
      Dictionary(uniqueKeysWithValues: limits) == [
        "grpc.health.v1.Health": 1024, "grpc.reflection.v1.ServerReflection": 4096,
        "grpc.reflection.v1alpha.ServerReflection": 4096,
      ])
  }

  @Test("is listed for the server and each of its services")
  func list() async throws {
    readiness.announce("grpc", at: "127.0.0.1:1")
    let response = try await service.call("List", [HealthListRequest()], returning: HealthListResponse.self)
    #expect(response.first?.statuses.map(\.key) == ["", "a.Service"])
    #expect(response.first?.statuses.allSatisfy { $0.value?.status == .serving } == true)
  }

  @Test("is seen by a watch when it changes and only then")
  func states() async {
    var states = readiness.states.makeAsyncIterator()
    #expect(await states.next() == false)
    readiness.report("no connection", of: "postgres")
    readiness.announce("grpc", at: "127.0.0.1:1")
    readiness.report("still none", of: "postgres")
    readiness.report(nil, of: "postgres")
    #expect(await states.next() == true)
    readiness.announce("grpc", at: "127.0.0.1:1")
    readiness.drain()
    #expect(await states.next() == false)
  }

  @Test("is told to a watcher of something that is not there once, as unknown")
  func watchUnknown() async throws {
    let responses = CollectedMessages()
    let health = HealthService(services: [], readiness: readiness)
    let watch = Task {
      try await health.watch(
        HealthCheckRequest(service: "b.Service"), MessageWriter(collecting: responses).encoding(),
        CallContext(
          method: "", metadata: [:], deadline: nil, eventLoop: NIOSingletons.posixEventLoopGroup.any(),
          peer: nil))
    }
    while responses.all.isEmpty { await Task.yield() }
    readiness.announce("grpc", at: "127.0.0.1:1")
    watch.cancel()
    try await watch.value
    #expect(responses.all.count == 1)
  }
}
