import Logging
import MainstreetAPI
package import RPC
package import ServiceLifecycle

extension Setting {
  /// What every program that serves RPCs can be told.
  package static let rpc =
    [
      Setting("grpc.listen", default: "127.0.0.1:0", help: "Where gRPC is served: host:port or unix:/path."),
      Setting("grpc.log.calls", default: "false", help: "Log each call when it has ended."),
      Setting(
        "grpc.reflection", default: "true",
        help: "Tell anyone who can call the service what its contract is (grpc.reflection v1 and v1alpha)."),
    ] + RPCServerSetting.all.map(\.setting) + serverTLS("grpc")
}

extension ServiceContext {
  /// How the program calls a target, as `Setting.rpcClient` has it, with its calls traced.
  /// - Parameter interceptors: of the program's own, outside of that.
  package func rpcClient(
    _ target: String, _ standard: RPCClient.Configuration, interceptors: [ClientInterceptor] = []
  ) throws -> RPCClient.Configuration {
    var configuration = try settings.rpcClient(target, standard)
    configuration.interceptors += interceptors
    if let tracer { configuration.interceptors.append(tracer.clientInterceptor) }
    return configuration
  }

  /// A server for the services and for health, with admission by principal, role and scope, that announces itself as
  /// `grpc`.
  /// The program's settings include `Setting.rpc`.
  package func rpcServer(
    _ services: [ServiceDefinition], verifier: PrincipalVerifier,
    interceptors: [ServerInterceptor] = []
  ) throws -> some Service {
    let admission = Admission(verifier: verifier)
    let standard = try services.withStandardServices(
      readiness: readiness, reflecting: settings.bool("grpc.reflection") ? descriptorSet : nil)
    let logging: [ServerInterceptor] = try settings.bool("grpc.log.calls") ? [.logging(to: logger)] : []
    let tracing = tracer.map { [$0.serverInterceptor] } ?? []
    let server = RPCServer(
      services: standard, configuration: try settings.rpcServer(), eventLoopGroup: eventLoopGroup,
      admit: { try admission.admit($0, $1) }, interceptors: tracing + logging + interceptors, logger: logger)
    rpc.serve(server)
    return AnnouncedServer(server: server, readiness: readiness)
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
