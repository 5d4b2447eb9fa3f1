import Logging
import MainstreetAPI
import Metrics
import NIOCore
import RPC
import ServiceKit
import Synchronization
import Testing

@testable import Edge

/// As much of identity as an Edge asks for, on a loopback port, doing as the test says.
final class StandInIdentity: AccessService {
  struct Member {
    var subject = "account:1"
    var tenant = EdgeUnderTest.tenant
    var roles: [String] = []
    var scopes: [String] = []
    var plan = Plan.free
    var limits: [RateLimit] = []
    var lifetimeSeconds: Int64 = 300
  }

  struct State {
    var members: [String: Member] = [:]
    var isDown = false
    var isSilent = false
    var exchanges = 0
    var addresses: [String] = []
    var revoked: [String] = []
    var budgets: [String: TokenBucket] = [:]
    var leases = 0
    /// Of the budgets, where it stands still.
    var clock: NIODeadline?
  }

  let state = Mutex(State())
  /// Exchanges wait for it where a test has set one.
  let gate = Mutex<Signal?>(nil)
  let signer = PrincipalSigner(keyID: "test")

  func add(_ credential: String, _ member: Member) { state.withLock { $0.members[credential] = member } }

  func revoke(_ id: String) {
    state.withLock { state in
      state.revoked.append(id)
      state.members = state.members.filter { $0.value.subject != id }
    }
  }

  private func checkUp() throws(RPCError) {
    if state.withLock({ $0.isDown }) { throw RPCError(.unavailable, "down") }
  }

  func issueServicePrincipal(
    _ request: IssueServicePrincipalRequest, _ context: CallContext
  ) async throws -> IssueServicePrincipalResponse {
    let expiresAt = Timestamp(seconds: unixSeconds() + 300)
    let claims = PrincipalClaims(subject: "service:edge", roles: ["service"], expiresAt: expiresAt)
    return IssueServicePrincipalResponse(principal: try signer.sign(claims), expiresAt: expiresAt)
  }

  func listVerificationKeys(
    _ request: ListVerificationKeysRequest, _ context: CallContext
  ) async throws -> ListVerificationKeysResponse {
    ListVerificationKeysResponse(keys: [signer.verificationKey])
  }

  func exchangeCredential(
    _ request: ExchangeCredentialRequest, _ context: CallContext
  ) async throws -> ExchangeCredentialResponse {
    let text =
      switch request.credential {
      case .apiKey(let text), .accessToken(let text): text
      case nil: ""
      }
    let member = state.withLock { state in
      state.exchanges += 1
      state.addresses.append(request.address)
      return state.members[text]
    }
    try checkUp()
    if let gate = gate.withLock({ $0 }) { await gate.wait() }
    guard let member else {
      throw RPCError(.unauthenticated, "the API key is not known", reason: "INVALID_API_KEY")
    }
    let expiresAt = Timestamp(seconds: unixSeconds() + member.lifetimeSeconds)
    let claims = PrincipalClaims(
      tenantId: member.tenant, subject: member.subject, roles: member.roles, scopes: member.scopes,
      expiresAt: expiresAt)
    return ExchangeCredentialResponse(
      principal: try signer.sign(claims), expiresAt: expiresAt, claims: claims,
      revocationIds: [member.subject],
      plan: member.plan, rateLimits: member.limits)
  }

  func watchRevocations(
    _ request: WatchRevocationsRequest, _ responses: ResponseWriter<Revocations>, _ context: CallContext
  ) async throws {
    var told = request.after.map { Int($0) } ?? state.withLock { $0.revoked.count }
    while true {
      let (revoked, isSilent) = state.withLock { ($0.revoked, $0.isSilent) }
      if !isSilent {
        try await responses.write(
          Revocations(ids: Array(revoked[told...]), sequence: UInt64(revoked.count)))
        told = revoked.count
      }
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  func leaseBudgets(
    _ request: LeaseBudgetsRequest, _ context: CallContext
  ) async throws -> LeaseBudgetsResponse {
    try checkUp()
    return state.withLock { state in
      let now = state.clock ?? .now()
      state.leases += 1
      return LeaseBudgetsResponse(
        leases: request.budgets.map { asked in
          var bucket = state.budgets[asked.budget] ?? TokenBucket(perMinute: Int(asked.perMinute))
          var granted: UInt32 = 0
          while granted < asked.wanted, bucket.take(now: now) { granted += 1 }
          state.budgets[asked.budget] = bucket
          let wait = bucket.wait(now: now).nanoseconds
          return BudgetLease(
            granted: granted, expiresAt: Timestamp(seconds: unixSeconds() + 5),
            remaining: UInt32(bucket.remaining(now: now)),
            availableAt: granted == 0 ? Timestamp(seconds: unixSeconds() + wait / 1_000_000_000 + 1) : nil)
        })
    }
  }
}

extension EdgeUnderTest {
  /// Expects how a GET is answered that shows this header.
  func expect(
    _ status: Int, of path: String, _ header: String, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let response = try await request("GET", path, headers: [header])
    #expect(response.status == status, sourceLocation: sourceLocation)
  }
}

/// An Edge whose callers a stand-in identity knows.
func withGuardedEdge<Result: Sendable>(
  _ identity: StandInIdentity, _ methods: [MethodDefinition], known: KnownCallers.Limits = .patient,
  limits: RateLimits.Configuration = .init(), sizes: BudgetSizes = .ample,
  metrics: any MetricsFactory = NOOPMetricsHandler.instance, clock: NIODeadline? = nil,
  body: (EdgeUnderTest) async throws -> Result
) async throws -> Result {
  var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
  configuration.shutdownGrace = .milliseconds(200)
  let server = RPCServer(
    services: [identity.serviceDefinition.endingAtShutdown()], configuration: configuration,
    eventLoopGroup: loops.service, admit: { _, _ in }, logger: .quiet)
  return try await running([server]) {
    let client = RPCClient(
      target: .tcp(host: "127.0.0.1", port: try await server.boundAddress.port ?? 0),
      eventLoopGroup: loops.edge, logger: .quiet)
    let readiness = Readiness(promised: [], readyFile: nil)
    let access = AccessServiceClient(client)
    let own = ServicePrincipal(name: "edge", secret: "s", from: access, readiness: readiness, logger: .quiet)
    var timing = Callers.Timing()
    timing.watchPause = .milliseconds(50)
    timing.watchSilence = .milliseconds(500)
    let callers = Callers(
      identity: access, own: own, limits: known, timing: timing, metrics: metrics, logger: .quiet)
    identity.state.withLock { $0.clock = clock }
    let budgets = RateLimits(limits, now: { clock ?? .now() })
    let leases = BudgetLeases(
      budgets, identity: access, own: own, holder: "test", metrics: metrics, logger: .quiet)
    let gatekeeper = Gatekeeper(callers: callers, own: own, limits: budgets, sizes: sizes)
    return try await running([client, own, callers, leases]) {
      while !readiness.isReady || !callers.isHearing { try await Task.sleep(for: .milliseconds(2)) }
      return try await withEdge(methods, metrics: metrics, admit: gatekeeper.admit, body: body)
    }
  }
}

extension KnownCallers.Limits {
  /// For tests that are not about silence, on a machine that may be busy with others.
  static var patient: Self {
    var limits = Self()
    limits.silence = .seconds(60)
    return limits
  }
}

extension BudgetSizes {
  /// For tests that are not about limits, and ask as fast as they can.
  static var ample: Self {
    var sizes = Self()
    for rateClass in sizes.standard.keys { sizes.standard[rateClass] = 1_000_000 }
    return sizes
  }
}
