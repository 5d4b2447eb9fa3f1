import MainstreetAPI
import NIOCore
import NIOHTTP1
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization

/// `GET /health`: how the platform is, for people and balancers. Asks every service once a second by gRPC's health
/// protocol, so that those who ask here cost nothing, and see nothing older.
///
/// It names no address and says of a failure only that there is one: it is open to everyone.
final class PlatformHealth: Service {
  struct Target: Sendable {
    let name: String
    /// One that also calls instances which say that they do not serve.
    let client: RPCClient
  }

  struct State: Equatable, Sendable {
    var isUp: Bool
    /// Nil for a service without one, and while the service cannot be asked.
    var isDatabaseUp: Bool?
    var latency: Duration
  }

  private let targets: [Target]
  private let states = Mutex<[String: State]>([:])
  private let usage = Mutex(ProcessUsage())
  private let startedAt = ContinuousClock.now
  private let reads: ReadCache
  /// Whether this Edge takes requests.
  private let isServing: @Sendable () -> Bool

  private static let pause = Duration.seconds(1)
  private static let timeout = TimeAmount.seconds(1)
  /// The part of a service's readiness that is its database.
  private static let database = "postgres"

  init(_ targets: [Target], reads: ReadCache, isServing: @escaping @Sendable () -> Bool) {
    self.targets = targets
    self.reads = reads
    self.isServing = isServing
  }

  func run() async {
    await cancelWhenGracefulShutdown { [self] in
      while !Task.isCancelled {
        await look()
        try? await Task.sleep(for: Self.pause)
      }
    }
  }

  var clients: [RPCClient] { targets.map(\.client) }

  // MARK: Asking

  /// Asks all services at once.
  func look() async {
    await withTaskGroup(of: (String, State).self) { group in
      for target in targets {
        group.addTask { (target.name, await Self.ask(target)) }
      }
      for await (name, state) in group where !Task.isCancelled { states.withLock { $0[name] = state } }
    }
    usage.withLock { $0.measure() }
  }

  private static func ask(_ target: Target) async -> State {
    let health = HealthClient(target.client)
    let began = ContinuousClock.now
    async let database = answer(of: health, about: Self.database)
    let isUp = await answer(of: health, about: "") ?? false
    let latency = ContinuousClock.now - began
    return State(isUp: isUp, isDatabaseUp: await database, latency: latency)
  }

  /// Nil when there is no answer.
  private static func answer(of health: HealthClient, about service: String) async -> Bool? {
    let answer = try? await health.check(
      HealthCheckRequest(service: service), options: CallOptions(deadline: .now() + timeout))
    return answer.map { $0.message.status == .serving }
  }

  // MARK: Answering

  /// Nil when the path is another.
  func answer(_ head: HTTPRequestHead, at path: Substring) throws(Problem) -> HTTPResponse? {
    guard path == "/health" || path == "/api/v1/health" || path == "/api/health" else { return nil }
    guard head.method == .GET || head.method == .HEAD else {
      throw Problem.wrongMethod(head.method.rawValue, allowed: ["GET", "HEAD"])
    }
    return response(now: WallClock.now)
  }

  private func response(now: Moments.Instant) -> HTTPResponse {
    let known = states.withLock { $0 }
    let up = known.values.count { $0.isUp }
    let status =
      switch (isServing(), up) {
      case (true, targets.count): "healthy"
      case (true, 1...): "degraded"
      default: "unhealthy"
      }
    var services = JSONObject()
    var databases = JSONObject()
    for target in targets {
      let state = known[target.name]
      var service: JSONObject = ["status": Self.status(state?.isUp ?? false)]
      if let latency = state?.latency { service["latencyMs"] = Self.milliseconds(latency) }
      services[target.name] = .object(service)
      if let isUp = state?.isDatabaseUp { databases[target.name] = ["status": Self.status(isUp)] }
    }
    let usage = usage.withLock { $0 }
    let cache = reads.usage
    var timestamp = ByteBuffer()
    Moments.write(timestamp: now, to: &timestamp)
    let report: JSONObject = [
      "status": .string(status), "timestamp": .string(String(buffer: timestamp)),
      "uptime": .number(Self.seconds(ContinuousClock.now - startedAt)), "version": .string(Edge.apiVersion),
      "services": .object(services), "databases": .object(databases),
      "cache": ["answers": .number(cache.answers), "bytes": .number(cache.bytes)],
      "memory": ["residentBytes": .number(usage.residentBytes), "peakBytes": .number(usage.peakBytes)],
      "cpu": ["cores": .number(usage.cores), "usage": .number(usage.text)],
    ]
    var body = ByteBuffer()
    body.writeJSON(.object(report))
    return HTTPResponse(
      HTTPResponseHead(status: status == "unhealthy" ? 503 : 200, contentType: "application/json"), body: body
    )
  }

  private static func status(_ isUp: Bool) -> JSONValue { isUp ? "up" : "down" }

  private static func milliseconds(_ duration: Duration) -> JSONValue {
    .number(seconds(duration * 1000))
  }

  /// With three digits behind the point.
  private static func seconds(_ duration: Duration) -> String {
    let thousandths = Int64(duration / .milliseconds(1))
    let fraction = String(thousandths % 1000 + 1000).dropFirst()
    return "\(thousandths / 1000).\(fraction)"
  }
}
