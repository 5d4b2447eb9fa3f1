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
      configuration: try context.rpcClient("store", .internal, interceptors: [storeCircuit.interceptor]),
      eventLoopGroup: context.eventLoopGroup, logger: context.logger)
    let access = try access(context)
    let schema = try DescriptorSet(serialized: descriptorSet)
    let clients = [
      "mainstreet.store.v1.StoreService": store, "mainstreet.identity.v1.IdentityService": access.identity,
    ]
    let routes = try RouteTable(schema: schema, clients: clients, metrics: MetricsSystem.factory)
    let documentation = try Documentation(
      OpenAPI.document(of: schema, services: Set(clients.keys)), assets: settings.optional("docs.assets"))
    let reads = ReadCache()
    let health = PlatformHealth(
      [
        .init(name: "store", client: try healthClient("store", context)),
        .init(name: "identity", client: try healthClient("identity", context)),
      ], reads: reads, isServing: { context.readiness.isReady })
    let traces = RequestTraces(tracer: context.tracer)
    let cors = try settings.cors()
    let gateway = Gateway(
      routes: routes.trie, documentation: documentation, health: health, reads: reads, traces: traces,
      admit: access.gatekeeper.admit, limits: try settings.bodyLimits(), cors: cors,
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
    return [store] + access.services + health.clients + [health, server]
  }

  /// Asks the instances of a service how they are, also those that say they do not serve.
  private static func healthClient(_ target: String, _ context: ServiceContext) throws -> RPCClient {
    var configuration = try context.settings.rpcClient(target, .internal)
    configuration.healthService = nil
    configuration.policies.general.readiness = .failFast
    return RPCClient(
      target: try context.settings.target("\(target).target"), configuration: configuration,
      eventLoopGroup: context.eventLoopGroup, logger: context.logger)
  }
}

extension Edge {
  /// Who finds out who is calling, and what it needs to run.
  private static func access(
    _ context: ServiceContext
  ) throws -> (gatekeeper: Gatekeeper, identity: RPCClient, services: [any Service]) {
    let settings = context.settings
    let client = RPCClient(
      target: try settings.target("identity.target"),
      configuration: try context.rpcClient("identity", .internal),
      eventLoopGroup: context.eventLoopGroup, logger: context.logger)
    let identity = AccessServiceClient(client)
    let own = ServicePrincipal(
      name: name, secret: try settings.string("service.secret"), from: identity, readiness: context.readiness,
      logger: context.logger)
    let callers = Callers(
      identity: identity, own: own, metrics: MetricsSystem.factory, logger: context.logger)
    let limits = RateLimits(try settings.rateLimits())
    let leases = BudgetLeases(
      limits, identity: identity, own: own, holder: RequestID.make(), metrics: MetricsSystem.factory,
      logger: context.logger)
    let gatekeeper = Gatekeeper(
      callers: callers, own: own, limits: limits, sizes: try settings.budgetSizes(),
      proxies: try settings.int("proxies", in: 0...10))
    return (gatekeeper, client, [client, own, callers, leases])
  }
}
