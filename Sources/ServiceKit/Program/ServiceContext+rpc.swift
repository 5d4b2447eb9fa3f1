import HTTP2
import Logging
import MainstreetAPI
package import RPC
package import ServiceLifecycle

extension Setting {
  /// What every program that serves RPCs can be told.
  package static let rpc =
    [
      Setting("grpc.listen", default: "127.0.0.1:0", help: "Where gRPC is served: host:port or unix:/path."),
      Setting(
        "grpc.max.connections", default: "4096", help: "Connections open at once; more are closed at once."),
      Setting(
        "grpc.max.message.bytes", default: "4194304",
        help: "Bytes of one request message; a longer one is RESOURCE_EXHAUSTED."),
      Setting(
        "grpc.max.handlers", default: "16384",
        help: "Calls being worked on at once; more are UNAVAILABLE, for another instance to take."),
      Setting(
        "grpc.max.connection.age", default: "0",
        help: """
          Seconds after which a connection is closed in order, so that clients find new instances; a tenth more or \
          less by chance, 0 for never.
          """),
      Setting(
        "grpc.max.connection.idle", default: "0",
        help: "Seconds without a call after which a connection is closed in order; 0 for never."),
      Setting("grpc.log.calls", default: "false", help: "Log each call when it has ended."),
      Setting(
        "grpc.reflection", default: "true",
        help: "Tell anyone who can call the service what its contract is (grpc.reflection v1 and v1alpha)."),
      Setting(
        "trust.development.principal", default: "false",
        help: "Believe unsigned principals. For development only: every caller can be anyone."),
    ] + serverTLS("grpc")
}

extension ServiceContext {
  /// A server for the services and for health, with admission by principal and role, that announces itself
  /// as `grpc`.
  /// The program's settings include `Setting.rpc`.
  package func rpcServer(
    _ services: [ServiceDefinition], interceptors: [ServerInterceptor] = []
  ) throws -> some Service {
    let trusts = try settings.bool("trust.development.principal")
    if trusts { logger.warning("unsigned principals are believed; this is for development only") }
    let admission = Admission(trustsDevelopmentPrincipal: trusts)
    var configuration = RPCServer.Configuration(address: try settings.address("grpc.listen"))
    configuration.tls = try settings.serverTLS("grpc")
    configuration.shutdownGrace = try settings.duration("shutdown.grace")
    configuration.maxConnections = try settings.int("grpc.max.connections", in: 1...1_000_000)
    configuration.maxMessageBytes = try settings.int("grpc.max.message.bytes", in: 1...1 << 30)
    configuration.maxRunningHandlersPerServer = try settings.int("grpc.max.handlers", in: 1...1_000_000)
    configuration.http2.maxAge = try limit("grpc.max.connection.age")
    configuration.http2.idleTimeout = try limit("grpc.max.connection.idle")
    let logging: [ServerInterceptor] = try settings.bool("grpc.log.calls") ? [.logging(to: logger)] : []
    let server = RPCServer(
      services: try withStandardServices(services), configuration: configuration,
      eventLoopGroup: eventLoopGroup,
      admit: { try admission.admit($0, $1) }, interceptors: logging + interceptors, logger: logger)
    rpc.serve(server)
    return AnnouncedServer(server: server, readiness: readiness)
  }

  /// A duration of which 0 means none.
  private func limit(_ key: String) throws -> Duration? {
    let duration = try settings.duration(key)
    return duration == .zero ? nil : duration
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
