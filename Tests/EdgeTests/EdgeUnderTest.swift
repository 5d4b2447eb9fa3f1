import Logging
import MainstreetAPI
import Metrics
import NIOCore
import NIOHTTP1
import NIOPosix
import RPC
import Schema
import ServiceKit
import ServiceLifecycle
import Synchronization

@testable import Edge

/// An Edge on a loopback port, in front of a real RPC server whose methods the test writes.
struct EdgeUnderTest: Sendable {
  let address: SocketAddress

  func connect(autoRead: Bool = true) async throws -> RawClient {
    try await RawClient.connect(to: address, autoRead: autoRead)
  }

  /// One request on a connection of its own.
  func request(
    _ method: String, _ path: String, _ body: String? = nil, headers: [String] = []
  ) async throws -> RawResponse {
    let client = try await connect()
    return try await client.request(method, path, body, headers: headers)
  }

  static let tenant = "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"
  /// What services are told of who calls, where a test is about something else.
  static let principal = "v1.test.claims.signature"
  static let admitsEveryone: Admit = { _, _, _ in
    .admitted(
      Gatekeeper.Pass(principal: principal, tenant: tenant, audience: principal, address: "", budgets: []))
  }
  typealias Admit = @Sendable (HTTPHeaders, SocketAddress?, Route) throws(Problem) -> Gatekeeper.Decision
}

/// - Parameter methods: of `mainstreet.store.v1.StoreService`, on bytes.
func withEdge<Result: Sendable>(
  _ methods: [MethodDefinition] = [], limits: HTTPLimits = .patient,
  callLimits: Gateway.Limits = Gateway.Limits(), cors: CORS = .none, tls: ServerTLS? = nil,
  takesPlaintextHTTP2: Bool = false, metrics: any MetricsFactory = NOOPMetricsHandler.instance,
  contract: [UInt8]? = nil, interceptors: [ClientInterceptor] = [],
  identity: [MethodDefinition] = [], reads: ReadCache = ReadCache(), tracer: Tracer? = nil,
  log: Logger = .quiet, admit: @escaping EdgeUnderTest.Admit = EdgeUnderTest.admitsEveryone,
  body: (EdgeUnderTest) async throws -> Result
) async throws -> Result {
  var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
  configuration.shutdownGrace = .seconds(1)
  let service = ServiceDefinition(name: "mainstreet.store.v1.StoreService", methods: methods)
  // Tables take long to make where nothing is optimized: most tests need none of this one's.
  let other =
    identity.isEmpty
    ? []
    : [
      ServiceDefinition(name: "mainstreet.identity.v1.IdentityService", methods: identity)
    ]
  let services = [service] + other
  let server = RPCServer(
    services: services, configuration: configuration, eventLoopGroup: loops.service, admit: { _, _ in },
    logger: .quiet)
  return try await running([server]) {
    try await withEdge(
      store: RPCAddress.tcp(host: "127.0.0.1", port: try await server.boundAddress.port ?? 0),
      limits: limits, callLimits: callLimits, cors: cors, tls: tls, takesPlaintextHTTP2: takesPlaintextHTTP2,
      metrics: metrics, contract: contract, interceptors: interceptors, reads: reads, tracer: tracer,
      log: log,
      services: services.map(\.name), admit: admit, body: body)
  }
}

func withEdge<Result: Sendable>(
  store: RPCAddress, limits: HTTPLimits = .patient, callLimits: Gateway.Limits = Gateway.Limits(),
  cors: CORS = .none, tls: ServerTLS? = nil, takesPlaintextHTTP2: Bool = false,
  metrics: any MetricsFactory = NOOPMetricsHandler.instance, patience: Duration = .seconds(60),
  contract: [UInt8]? = nil, documentation: Documentation? = nil,
  interceptors: [ClientInterceptor] = [], health: PlatformHealth? = nil, reads: ReadCache = ReadCache(),
  tracer: Tracer? = nil, log: Logger = .quiet,
  services: [String] = ["mainstreet.store.v1.StoreService"],
  admit: @escaping EdgeUnderTest.Admit = EdgeUnderTest.admitsEveryone,
  body: (EdgeUnderTest) async throws -> Result
) async throws -> Result {
  var configuration = RPCClient.Configuration.internal
  configuration.policies.general.readiness = .wait(atMost: patience)
  configuration.metrics = metrics
  configuration.interceptors = interceptors
  let client = RPCClient(
    target: store, configuration: configuration, eventLoopGroup: loops.edge, logger: .quiet)
  let routes = try RouteTable(
    schema: contract.map { try DescriptorSet(serialized: $0) } ?? schemaOfAll.get(),
    clients: Dictionary(uniqueKeysWithValues: services.map { ($0, client) }), metrics: metrics)
  let traces = RequestTraces(tracer: tracer)
  let accessLog = AccessLog(logger: log)
  let gateway = Gateway(
    routes: routes.trie, documentation: try documentation ?? documentationOfStores.get(),
    health: health ?? PlatformHealth([], reads: reads, isServing: { true }), reads: reads,
    traces: traces, admit: admit,
    limits: callLimits, cors: cors, unrouted: .unrouted(factory: metrics), logger: .quiet)
  let (addresses, found) = AsyncStream<SocketAddress>.makeStream()
  let server = HTTPServer(
    HTTPServer.Configuration(
      address: .tcp(host: "127.0.0.1", port: 0), tls: tls, takesPlaintextHTTP2: takesPlaintextHTTP2),
    group: loops.edge,
    core: HTTPCore(
      limits: limits, cors: cors, receive: gateway.receive, refuse: gateway.refuse,
      log: { exchange, end in
        accessLog.record(exchange, end: end)
        traces.end(exchange)
      }),
    logger: .quiet, onListening: { found.yield($0) })
  return try await running([client, server]) {
    for await address in addresses { return try await body(EdgeUnderTest(address: address)) }
    throw CancellationError()
  }
}

extension Documentation {
  /// Of StoreService, without a folder of assets unless told.
  static func ofStores(assets: String? = nil) throws -> Documentation {
    try Documentation(description, assets: assets)
  }

  private static let description: JSONObject = {
    do {
      return try OpenAPI.document(
        of: DescriptorSet(serialized: descriptorSet), services: ["mainstreet.store.v1.StoreService"])
    } catch {
      preconditionFailure("\(error)")
    }
  }()
}

func running<Result: Sendable>(
  _ services: [any Service], body: () async throws -> Result
) async throws -> Result {
  let group = ServiceGroup(services: services, logger: .quiet)
  let task = Task { try await group.run() }
  do {
    let result = try await body()
    await group.triggerGracefulShutdown()
    _ = await task.result
    return result
  } catch {
    await group.triggerGracefulShutdown()
    _ = await task.result
    throw error
  }
}

/// Read once for all tests: it takes long where nothing is optimized.
private let documentationOfStores = Result { try Documentation.ofStores() }
private let schemaOfAll = Result { try DescriptorSet(serialized: descriptorSet) }

extension HTTPLimits {
  /// For clients that wait for others' turns on a busy machine.
  static var patient: HTTPLimits {
    var limits = HTTPLimits()
    limits.headerDeadline = .minutes(5)
    return limits
  }
}

/// Each party has its own loops, as it has its own process elsewhere.
let loops = (
  service: MultiThreadedEventLoopGroup(numberOfThreads: 1),
  edge: MultiThreadedEventLoopGroup(numberOfThreads: 1),
  client: MultiThreadedEventLoopGroup(numberOfThreads: 1)
)

extension Logger {
  static let quiet = Logger(label: "quiet", factory: { _ in SwiftLogNoOpLogHandler() })
}

extension MethodDefinition {
  static func unary(
    _ name: String, _ handler: @escaping @Sendable (ByteBuffer, CallContext) async throws -> ByteBuffer
  ) -> MethodDefinition {
    MethodDefinition(name: name, access: .public, handler: .unary(handler))
  }

  static func streaming(
    _ name: String,
    _ handler:
      @escaping @Sendable (RequestStream<ByteBuffer>, ResponseWriter<ByteBuffer>, CallContext) async throws ->
      Void
  ) -> MethodDefinition {
    MethodDefinition(name: name, access: .public, handler: .streaming(handler))
  }
}

/// Lets one side of a test wait for the other.
actor Signal {
  private var isRaised = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func raise() {
    isRaised = true
    for continuation in waiting { continuation.resume() }
    waiting = []
  }

  func wait() async {
    if isRaised { return }
    await withCheckedContinuation { waiting.append($0) }
  }
}

/// A number two sides of a test share.
final class Count: Sendable {
  private let atomic = Atomic(0)
  var value: Int { atomic.load(ordering: .sequentiallyConsistent) }

  @discardableResult
  func add(_ amount: Int) -> Int { atomic.add(amount, ordering: .sequentiallyConsistent).newValue }
}

/// Suspends until the task is cancelled.
func untilCancelled() async throws {
  let (stream, _) = AsyncStream<Never>.makeStream()
  for await _ in stream {}
  throw CancellationError()
}
