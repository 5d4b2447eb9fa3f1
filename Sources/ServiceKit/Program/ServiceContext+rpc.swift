import Logging
import MainstreetAPI
package import RPC
package import ServiceLifecycle

extension Setting {
  /// What every program that serves RPCs can be told.
  package static let rpc = [
    Setting("grpc.listen", default: "127.0.0.1:0", help: "Where gRPC is served: host:port or unix:/path."),
    Setting(
      "grpc.reflection", default: "true",
      help: "Tell anyone who can call the service what its contract is (grpc.reflection v1 and v1alpha)."),
    Setting(
      "trust.development.principal", default: "false",
      help: "Believe unsigned principals. For development only: every caller can be anyone."),
  ]
}

extension ServiceContext {
  /// A server for the services and for health, with admission by principal and role, that announces itself
  /// as `grpc`.
  /// The program's settings include `Setting.rpc`.
  package func rpcServer(_ services: [ServiceDefinition]) throws -> some Service {
    let trusts = try settings.bool("trust.development.principal")
    if trusts { logger.warning("unsigned principals are believed; this is for development only") }
    let admission = Admission(trustsDevelopmentPrincipal: trusts)
    var configuration = RPCServer.Configuration(address: try settings.address("grpc.listen"))
    configuration.shutdownGrace = try settings.duration("shutdown.grace")
    let server = RPCServer(
      services: try withStandardServices(services), configuration: configuration,
      eventLoopGroup: eventLoopGroup,
      admit: { try admission.admit($0, $1) }, logger: logger)
    return AnnouncedServer(server: server, readiness: readiness)
  }

  /// The services with health and, unless it is turned off, reflection.
  private func withStandardServices(_ services: [ServiceDefinition]) throws -> [ServiceDefinition] {
    let health = HealthService(services: Set(services.map(\.name)), readiness: readiness)
    let served = services + [health.serviceDefinition.endingAtShutdown()]
    guard try settings.bool("grpc.reflection") else { return served }
    let reflection = try ReflectionService(descriptorSet: descriptorSet, services: served.map(\.name))
    return served + reflection.serviceDefinitions
  }
}

/// Serves, and tells `Readiness` where once it does.
private struct AnnouncedServer: Service {
  let server: RPCServer
  let readiness: Readiness

  func run() async throws {
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { try await server.run() }
      readiness.announce("grpc", at: try await server.boundAddress)
    }
  }
}
