import Logging
import MainstreetAPI
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

@testable import RPC
@testable import ServiceKit

/// What a program does to know who is calling and who it is itself, with a server in identity's place.
@Suite("A program that asks identity") struct IdentityServiceTests {
  private let readiness = Readiness(promised: [], readyFile: nil)
  private let identity = StandInIdentity()

  @Test("is not ready before it has keys, says why, and becomes ready when identity is there")
  func start() async throws {
    identity.isDown.withLock { $0 = true }
    try await running { client in
      let verifier = PrincipalVerifier()
      try await withService(keys(verifier, client)) {
        let trouble = "identity: the keys that principals are verified with cannot be read: UNAVAILABLE"
        try await eventually { readiness.obstacles.first?.hasPrefix(trouble) == true }
        identity.isDown.withLock { $0 = false }
        try await eventually { readiness.obstacles.isEmpty }
        #expect(try verifier.verify(identity.principal()).subject == "account:1")
      }
    }
  }

  @Test("keeps its keys, and stays ready, while identity is away")
  func away() async throws {
    try await running { client in
      let verifier = PrincipalVerifier()
      try await withService(keys(verifier, client, interval: .milliseconds(5))) {
        try await eventually { readiness.obstacles.isEmpty }
        identity.isDown.withLock { $0 = true }
        let reads = identity.keyReads.load(ordering: .relaxed)
        try await eventually { identity.keyReads.load(ordering: .relaxed) >= reads + 3 }
        #expect(readiness.obstacles.isEmpty)
        #expect(try verifier.verify(identity.principal()).subject == "account:1")
      }
    }
  }

  @Test("has a new key as soon as a principal names it, not a minute later")
  func newKey() async throws {
    try await running { client in
      let verifier = PrincipalVerifier()
      try await withService(keys(verifier, client, interval: .seconds(3600))) {
        try await eventually { readiness.obstacles.isEmpty }
        identity.signers.withLock { $0.insert(PrincipalSigner(keyID: "next"), at: 0) }
        let text = try identity.principal()
        #expect(throws: RPCError.self) { try verifier.verify(text) }
        try await eventually { (try? verifier.verify(text)) != nil }
      }
    }
  }

  @Test("gets a principal for its secret, renews it in time, and calls as that")
  func servicePrincipal() async throws {
    identity.lifetimeSeconds.withLock { $0 = 1 }
    try await running { client in
      let principal = servicePrincipal(client, secret: "right")
      #expect(readiness.obstacles == ["service principal: identity has given no principal yet"])
      let error = #expect(throws: RPCError.self) { try principal.text }
      #expect(error?.code == .unavailable)
      try await withService(principal) {
        try await eventually { readiness.obstacles.isEmpty }
        let first = try principal.text
        try await eventually { (try? principal.text) ?? first != first }
        #expect(identity.issued.load(ordering: .relaxed) >= 2)
      }
    }
  }

  @Test("is not ready with a secret that is wrong")
  func wrongSecret() async throws {
    try await running { client in
      let principal = servicePrincipal(client, secret: "wrong")
      try await withService(principal) {
        try await eventually { readiness.obstacles.first?.contains("UNAUTHENTICATED") == true }
      }
    }
  }

  @Test("calls in its own name unless it says in whose")
  func interceptor() async throws {
    try await running { client in
      let principal = servicePrincipal(client, secret: "right")
      try await withService(principal) {
        try await eventually { readiness.obstacles.isEmpty }
        let interceptor = ClientInterceptor.acting(as: principal)
        let method = client.method("/a/B")
        for (given, expected) in [("", try principal.text), ("v1.a.b.c", "v1.a.b.c")] {
          var options = CallOptions()
          if !given.isEmpty { options.metadata[Principal.metadataKey] = given }
          let call = ClientInterceptor.Call(method: method, options: options)
          _ = try await interceptor.unary(call, ByteBuffer()) { call, request in
            #expect(call.options.metadata.map(\.name) == [Principal.metadataKey])
            #expect(call.options.metadata[Principal.metadataKey] == expected)
            return ClientResponse(message: request)
          }
        }
      }
    }
  }

  private func keys(
    _ verifier: PrincipalVerifier, _ client: RPCClient, interval: Duration = .seconds(60)
  ) -> VerificationKeys {
    var timing = VerificationKeys.Timing()
    timing.interval = interval
    timing.retryInterval = .milliseconds(5)
    return VerificationKeys(
      verifier, from: AccessServiceClient(client), readiness: readiness, timing: timing, logger: .quiet)
  }

  private func servicePrincipal(_ client: RPCClient, secret: String) -> ServicePrincipal {
    var timing = ServicePrincipal.Timing()
    timing.retryInterval = .milliseconds(5)
    return ServicePrincipal(
      name: "edge", secret: secret, from: AccessServiceClient(client), readiness: readiness, timing: timing,
      logger: .quiet)
  }

  private func running(_ body: (RPCClient) async throws -> Void) async throws {
    let server = RPCServer(
      services: [identity.serviceDefinition],
      configuration: RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0)),
      admit: { _, _ in }, logger: .quiet)
    try await withService(server) {
      let client = RPCClient(
        target: .tcp(host: "127.0.0.1", port: try await server.boundAddress.port ?? 0), logger: .quiet)
      try await withService(client) { try await body(client) }
    }
  }

  private func withService(_ service: any Service, _ body: () async throws -> Void) async throws {
    let group = ServiceGroup(services: [service], logger: .quiet)
    async let running: Void = group.run()
    let outcome: Result<Void, any Error>
    do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
    await group.triggerGracefulShutdown()
    try await running
    try outcome.get()
  }
}

/// As much of identity's `AccessService` as programs ask for.
private final class StandInIdentity: AccessService {
  let signers = Mutex([PrincipalSigner(keyID: "first")])
  let isDown = Mutex(false)
  let lifetimeSeconds = Mutex<Int64>(300)
  let keyReads = Atomic(0)
  let issued = Atomic(0)

  func principal(_ subject: String = "account:1") throws -> String {
    try signers.withLock { $0[0] }.sign(
      PrincipalClaims(
        tenantId: tenant, subject: subject, roles: ["owner"],
        issuedAt: Timestamp(seconds: Int64(issued.load(ordering: .relaxed))),
        expiresAt: Timestamp(seconds: unixSeconds() + lifetimeSeconds.withLock { $0 })))
  }

  func listVerificationKeys(
    _ request: ListVerificationKeysRequest, _ context: CallContext
  ) async throws -> ListVerificationKeysResponse {
    keyReads.add(1, ordering: .relaxed)
    if isDown.withLock({ $0 }) { throw RPCError(.unavailable, "the database is not reachable") }
    return ListVerificationKeysResponse(keys: signers.withLock { $0.map(\.verificationKey) })
  }

  func issueServicePrincipal(
    _ request: IssueServicePrincipalRequest, _ context: CallContext
  ) async throws -> IssueServicePrincipalResponse {
    guard request.secret == "right" else { throw RPCError(.unauthenticated, "not its secret") }
    issued.add(1, ordering: .relaxed)
    return IssueServicePrincipalResponse(
      principal: try principal("service:\(request.service)"),
      expiresAt: Timestamp(seconds: unixSeconds() + lifetimeSeconds.withLock { $0 }))
  }

  func exchangeCredential(
    _ request: ExchangeCredentialRequest, _ context: CallContext
  ) async throws -> ExchangeCredentialResponse { throw RPCError(.unimplemented, "not here") }

  func watchRevocations(
    _ request: WatchRevocationsRequest, _ responses: ResponseWriter<Revocations>, _ context: CallContext
  ) async throws { throw RPCError(.unimplemented, "not here") }

  func leaseBudgets(
    _ request: LeaseBudgetsRequest, _ context: CallContext
  ) async throws -> LeaseBudgetsResponse { throw RPCError(.unimplemented, "not here") }
}

/// Looks again and again, for ten seconds at most, until it is so.
private func eventually(
  sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + .seconds(10)
  while ContinuousClock.now < end {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(2))
  }
  Issue.record("it has not come to that within ten seconds", sourceLocation: sourceLocation)
}

extension Logger {
  fileprivate static let quiet = Logger(label: "quiet", factory: { _ in SwiftLogNoOpLogHandler() })
}
