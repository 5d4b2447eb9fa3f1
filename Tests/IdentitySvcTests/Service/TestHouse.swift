import Crypto
import Glibc
import Logging
import MainstreetAPI
import NIOCore
import NIOPosix
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization
import Testing

@testable import IdentitySvc
@testable import Postgres
@testable import TimeZones

/// The service on a loopback port, with a migrated database to itself that it uses as the role it has in production, and
/// a clock that stands still until it is moved.
struct TestHouse: Sendable {
  let identity: IdentityServiceClient
  let access: AccessServiceClient
  let postgres: PostgresClient
  /// As the superuser, whom row-level security does not bind.
  let superuser: PostgresClient
  let clock: TestClock
  let keys: SigningKeys
  let tokens: AccessTokens
  let passwords: PasswordPool
  let keyUses: ApiKeyUses
  let service: IdentityRpcs

  static let seal = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
  static let edgeSecret = "what only the edge knows"

  /// What hashing costs where it is not the point: in debug builds the real cost is a second of a core.
  static let lowCost = Scrypt.Cost(logRounds: 4, blockSize: 8, parallelism: 1)

  /// - Parameter policy: what an operator decides; sign-up is open unless told.
  static func with<Result: Sendable>(
    policy: IdentityPolicy = IdentityPolicy(isSignUpOpen: true), threads: Int = 2, mostWaiting: Int = 64,
    cost: Scrypt.Cost = lowCost,
    _ body: @Sendable (TestHouse) async throws -> Result
  ) async throws -> Result {
    let serverURL = try #require(
      getenv("MAINSTREET_TEST_DATABASE_URL").map { String(cString: $0) },
      "set MAINSTREET_TEST_DATABASE_URL to a superuser's URL of a throwaway Postgres, or run ./dev test")
    let site = await BuildingSites.shared.enter()
    let outcome: Swift.Result<Result, any Error>
    var url = site.url
    do {
      if let url { try await clear(url) } else { url = try await prepare(serverURL) }
      let passwords = PasswordPool(threads: threads, mostWaiting: mostWaiting, cost: cost)
      outcome = .success(try await with(url ?? serverURL, policy, passwords, body))
    } catch { outcome = .failure(error) }
    BuildingSites.shared.leave(Site(url: url))
    return try outcome.get()
  }

  /// A new database with the schema in it.
  private static func prepare(_ serverURL: String) async throws -> String {
    let name = "identity_" + UUID.v7(now: Instant.now()).description.replacing("-", with: "")
    let server = try client(serverURL)
    try await server.run(sql: roles)
    try await server.run(sql: "CREATE DATABASE \(name) TEMPLATE template0")
    await server.loop.drain()
    let url = serverURL.replacing(":///postgres", with: ":///\(name)")
    let superuser = try client(url)
    try await superuser.run(sql: "CREATE SCHEMA identity AUTHORIZATION mainstreet_identity_owner")
    try await superuser.run(sql: "GRANT USAGE ON SCHEMA identity TO mainstreet_identity")
    await superuser.loop.drain()
    let owner = try client(url + "&user=mainstreet_identity_owner")
    try await Migrator(schema: IdentitySvc.schema, migrations: IdentitySvc.migrations).run(
      on: owner, logger: .quiet)
    await owner.loop.drain()
    return url
  }

  private static func clear(_ url: String) async throws {
    let superuser = try client(url)
    try await superuser.run(
      sql: """
        TRUNCATE identity.tenants, identity.rate_limits, identity.memberships, identity.invitations,
          identity.api_keys, identity.audit_events, identity.slugs, identity.accounts, identity.sessions,
          identity.refresh_tokens, identity.signing_keys, identity.revocations, identity.sign_in_failures,
          identity.budgets
        """)
    try await superuser.run(sql: "UPDATE identity.revocation_counter SET last = 0")
    await superuser.loop.drain()
  }

  private static func with<Result: Sendable>(
    _ url: String, _ policy: IdentityPolicy, _ passwords: PasswordPool,
    _ body: @Sendable (TestHouse) async throws -> Result
  ) async throws -> Result {
    let superuser = try client(url)
    let postgres = try client(url + "&user=mainstreet_identity", schema: IdentitySvc.schema)
    let clock = TestClock()
    let verifier = PrincipalVerifier(now: { clock.now.seconds })
    let keys = try signingKeys(on: postgres, clock: clock, verifier: verifier)
    try await keys.load()
    let tokens = AccessTokens(keys: keys, issuer: "test", audience: "tests", now: { clock.now })
    let keyUses = ApiKeyUses(postgres: postgres, logger: .quiet)
    let service = IdentityRpcs(
      postgres: postgres, keys: keys, tokens: tokens, passwords: passwords, zones: try TimeZones(),
      policy: policy, now: { clock.now })
    let access = AccessRpcs(
      postgres: postgres, keys: keys, tokens: tokens, secrets: try ServiceSecrets("edge=\(hex(edgeSecret))"),
      keyUses: keyUses, revocationInterval: .milliseconds(20), now: { clock.now })
    let admission = Admission(verifier: verifier)
    var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
    configuration.shutdownGrace = .seconds(2)
    let server = RPCServer(
      services: [service.serviceDefinition, access.serviceDefinition.endingAtShutdown()],
      configuration: configuration, admit: { try admission.admit($0, $1) },
      interceptors: [.databaseErrors()], logger: .quiet)
    let serving = ServiceGroup(services: [postgres, passwords, server], logger: .quiet)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await serving.run() }
      let port = try await server.boundAddress.port ?? 0
      let client = RPCClient(target: .tcp(host: "127.0.0.1", port: port), logger: .quiet)
      let calling = ServiceGroup(services: [client], logger: .quiet)
      group.addTask { try await calling.run() }
      let house = TestHouse(
        identity: IdentityServiceClient(client), access: AccessServiceClient(client), postgres: postgres,
        superuser: superuser, clock: clock, keys: keys, tokens: tokens, passwords: passwords,
        keyUses: keyUses,
        service: service)
      let outcome: Swift.Result<Result, any Error>
      do { outcome = .success(try await body(house)) } catch { outcome = .failure(error) }
      await calling.triggerGracefulShutdown()
      await serving.triggerGracefulShutdown()
      try await group.waitForAll()
      await superuser.loop.drain()
      return try outcome.get()
    }
  }

  static func signingKeys(
    on postgres: PostgresClient, clock: TestClock, verifier: PrincipalVerifier = PrincipalVerifier(),
    seal: String = seal
  ) throws -> SigningKeys {
    SigningKeys(
      postgres: postgres, seal: try KeySeal(seal), verifier: verifier, now: { clock.now }, logger: .quiet)
  }

  private static func client(_ url: String, schema: String? = nil) throws -> PostgresClient {
    var configuration = PostgresClient.Configuration(url: url, applicationName: "IdentitySvcTests")
    configuration.schema = schema
    configuration.sharedConnections = 1
    configuration.shutdownGrace = .seconds(2)
    return try PostgresClient(configuration: configuration, logger: .quiet)
  }

  static func hex(_ secret: String) -> String {
    SHA256.hash(data: Array(secret.utf8)).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      .joined()
  }

  /// Roles belong to the server, and other suites may be making them at this moment.
  private static let roles = """
    DO $$
    BEGIN
      IF to_regrole('mainstreet_identity_owner') IS NULL THEN CREATE ROLE mainstreet_identity_owner LOGIN; END IF;
      IF to_regrole('mainstreet_identity') IS NULL THEN CREATE ROLE mainstreet_identity LOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END
    $$
    """
}

/// Shows a time until it is told another.
final class TestClock: Sendable {
  private let time = Mutex(Instant(microseconds: Instant.now().seconds * 1_000_000))
  private let ticks = Atomic<Int64>(0)

  /// A microsecond later each time, so that what is in the order of time has one.
  var now: Instant {
    let tick = ticks.wrappingAdd(1, ordering: .relaxed).newValue
    return Instant(microseconds: time.withLock { $0.microseconds } + tick)
  }

  func advance(by duration: Duration) { time.withLock { $0 = $0 + duration } }
}

/// A database for one test at a time.
private struct Site: Sendable {
  /// Nil until the first test has made it.
  var url: String?
}

/// Tests run all at once, but a throwaway Postgres has a hundred connections, and making a database takes longer than
/// most tests: so a few databases are used again and again.
private final class BuildingSites: Sendable {
  static let shared = BuildingSites()

  private struct State {
    var free = Array(repeating: Site(), count: 4)
    var waiting: [CheckedContinuation<Site, Never>] = []
  }

  private let state = Mutex(State())

  func enter() async -> Site {
    await withCheckedContinuation { continuation in
      let site = state.withLock { state in
        guard let site = state.free.popLast() else {
          state.waiting.append(continuation)
          return nil as Site?
        }
        return site
      }
      if let site { continuation.resume(returning: site) }
    }
  }

  func leave(_ site: Site) {
    let next = state.withLock { state -> CheckedContinuation<Site, Never>? in
      guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
      state.free.append(site)
      return nil
    }
    next?.resume(returning: site)
  }
}

extension PostgresClient {
  /// One statement outside any transaction block, as CREATE DATABASE wants it.
  func run(sql: String) async throws {
    let request = Request([Step(unprepared: sql, name: "Test")], deadline: nil)
    _ = try await request.wait(submit: { loop.submit(.request(request)) })
  }
}

extension Logger {
  static var quiet: Logger { Logger(label: "IdentitySvcTests") { _ in SwiftLogNoOpLogHandler() } }
}

/// Expects a call to end with the error of that reason.
func expectReason(
  _ expected: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> some Any
) async throws {
  do {
    _ = try await body()
    Issue.record("nothing was refused; expected \(expected)", sourceLocation: sourceLocation)
  } catch let error as RPCError {
    #expect(error.reason == expected, "\(error.message)", sourceLocation: sourceLocation)
  }
}
