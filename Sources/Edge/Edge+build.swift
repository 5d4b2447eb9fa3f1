import Logging
import MainstreetAPI
import Metrics
import RPC
import Schema
import ServiceKit
import ServiceLifecycle

// The only place where the Edge is wired.
extension Edge {
  static func build(_ context: ServiceContext) async throws -> [any Service] {
    let settings = context.settings
    let storeCircuit = Circuit("store", logger: context.logger)
    let store = RPCClient(
      target: try settings.target("store.target"),
      configuration: try context.rpcClient("store", .edge, interceptors: [storeCircuit.interceptor]),
      eventLoopGroup: context.eventLoopGroup, logger: context.logger)
    let schema = try DescriptorSet(serialized: descriptorSet)
    let clients = ["mainstreet.store.v1.StoreService": store]
    let routes = try RouteTable(schema: schema, clients: clients, metrics: MetricsSystem.factory)
    let documentation = try Documentation(
      OpenAPI.document(of: schema, services: Set(clients.keys)), assets: settings.optional("docs.assets"))
    let credentials = try Credentials(
      developmentPrincipal: settings.string("development.principal"),
      apiKey: settings.optional("development.api.key"))
    context.logger.warning(
      "every request acts as the development principal", metadata: ["tenant": "\(credentials.tenant)"])
    let reads = ReadCache()
    let health = PlatformHealth(
      [.init(name: "store", client: try healthClient("store", context))], reads: reads,
      isServing: { context.readiness.isReady })
    let traces = RequestTraces(tracer: context.tracer)
    let cors = try settings.cors()
    let gateway = Gateway(
      routes: routes.trie, documentation: documentation, health: health, reads: reads, traces: traces,
      credentials: credentials, limits: try settings.bodyLimits(), cors: cors,
      unrouted: .unrouted(factory: MetricsSystem.factory), logger: context.logger)
    let accessLog = AccessLog(logger: context.logger)
    let server = HTTPServer(
      HTTPServer.Configuration(
        address: try settings.address("listen"), tls: try settings.publicTLS(),
        takesPlaintextHTTP2: try settings.bool("plaintext.http2")),
      group: context.eventLoopGroup,
      core: HTTPCore(
        limits: try settings.httpLimits(), cors: cors, receive: gateway.receive, refuse: gateway.refuse,
        log: { exchange, end in
          accessLog.record(exchange, end: end)
          traces.end(exchange)
        }),
      logger: context.logger,
      onListening: { context.readiness.announce("http", at: $0) })
    return [store] + health.clients + [health, server]
  }

  /// Asks the instances of a service how they are, also those that say they do not serve.
  private static func healthClient(_ target: String, _ context: ServiceContext) throws -> RPCClient {
    var configuration = try context.settings.rpcClient(target, .edge)
    configuration.healthService = nil
    configuration.policies.general.readiness = .failFast
    return RPCClient(
      target: try context.settings.target("\(target).target"), configuration: configuration,
      eventLoopGroup: context.eventLoopGroup, logger: context.logger)
  }
}

extension RPCClient.Configuration {
  /// How the Edge calls services: what the contract calls idempotent is made again, three times in all, when it fails
  /// with UNAVAILABLE, and anything that never reached a handler in any case. A service that restarts is waited for,
  /// but not as long as a request may take: one that is down should be known to be.
  static var edge: Self {
    var configuration = Self()
    configuration.policies.general.readiness = .wait(atMost: .seconds(2))
    // gRPC's own pauses, a second to two minutes, are made for servers across the Internet and clients by the million.
    // These are a rack away and know their few callers: one that restarted should be found within a second.
    configuration.backoff.initial = .milliseconds(100)
    configuration.backoff.maximum = .seconds(1)
    // An instance that starts, drains or has lost its database says so before calls fail.
    configuration.healthService = ""
    return configuration
  }
}
