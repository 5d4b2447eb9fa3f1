import Glibc
import Logging
import MainstreetAPI
import NIOCore
import NIOPosix
import RPC
import Schema
import ServiceKit
import ServiceLifecycle
import Synchronization
import Testing

@testable import Jobs
@testable import Postgres
@testable import StoreSvc
@testable import TimeZones

/// The service on a loopback port, with a migrated database to itself that it uses as the role it has in
/// production.
struct TestHouse: Sendable {
  let stores: StoreServiceClient
  let admin: JobsServiceClient
  let postgres: PostgresClient
  /// As the superuser, whom row-level security does not bind.
  let superuser: PostgresClient
  let jobs: Jobs
  let zones: TimeZones
  let idempotency: Idempotency

  static let tenant = UUID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0001)
  static let stranger = UUID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0002)

  /// In identity's place.
  private static let signer = PrincipalSigner(keyID: "test")

  static func principal(
    _ tenant: UUID = tenant, subject: String = "account:test", role: String = "owner"
  ) -> Metadata {
    let claims = PrincipalClaims(
      tenantId: "\(tenant)", subject: subject, roles: [role],
      expiresAt: Timestamp(seconds: unixSeconds() + 3600))
    guard let text = try? signer.sign(claims) else { preconditionFailure("the key of tests does not sign") }
    return [Principal.metadataKey: text]
  }

  /// - Parameters:
  ///   - works: whether reports are computed; otherwise they wait for the test to do it.
  ///   - contract: the descriptor set the service goes by.
  ///   - now: the clock by which answers to idempotency keys expire.
  static func with<Result: Sendable>(
    works: Bool = true, contract: [UInt8] = descriptorSet,
    now: @escaping @Sendable () -> PostgresTimestamp = { .now() },
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
      outcome = .success(try await with(url ?? serverURL, works, contract, now, body))
    } catch { outcome = .failure(error) }
    BuildingSites.shared.leave(Site(url: url))
    return try outcome.get()
  }

  /// A new database with the schema in it.
  private static func prepare(_ serverURL: String) async throws -> String {
    let name = "store_" + UUID.v7(now: .now()).description.replacing("-", with: "")
    let server = try client(serverURL)
    try await server.run(sql: roles)
    try await server.run(sql: "CREATE DATABASE \(name) TEMPLATE template0")
    await server.loop.drain()
    let url = serverURL.replacing(":///postgres", with: ":///\(name)")
    let superuser = try client(url)
    try await superuser.run(sql: "CREATE SCHEMA store AUTHORIZATION mainstreet_store_owner")
    try await superuser.run(sql: "GRANT USAGE ON SCHEMA store TO mainstreet_store")
    await superuser.loop.drain()
    let owner = try client(url + "&user=mainstreet_store_owner")
    try await Migrator(schema: StoreSvc.schema, migrations: StoreSvc.migrations).run(
      on: owner, logger: .quiet)
    await owner.loop.drain()
    return url
  }

  private static func clear(_ url: String) async throws {
    let superuser = try client(url)
    try await superuser.run(
      sql:
        """
        TRUNCATE store.stores, store.business_hours, store.polls, store.imports, store.reports, store.report_chunks,
          store.jobs_ready, store.jobs_blocked, store.jobs_scheduled, store.jobs_running, store.jobs_history,
          store.idempotency_keys, store.jobs_dead, store.jobs_workers, store.jobs_queues, store.jobs_limits, store.jobs_crons
        """)
    await superuser.loop.drain()
  }

  private static func with<Result: Sendable>(
    _ url: String, _ works: Bool, _ contract: [UInt8], _ now: @escaping @Sendable () -> PostgresTimestamp,
    _ body: @Sendable (TestHouse) async throws -> Result
  ) async throws -> Result {
    let superuser = try client(url)
    let zones = try TimeZones()
    let postgres = try client(url + "&user=mainstreet_store", schema: StoreSvc.schema)
    let jobs = Jobs(postgres: postgres, logger: .quiet)
    let idempotency = Idempotency(
      postgres: postgres, contract: try DescriptorSet(serialized: contract), secret: .random(),
      logger: .quiet, now: now)
    let secret = SealingSecret.random()
    let service = Rpcs(
      postgres: postgres, idempotency: idempotency, cursors: CursorSigner(secret, list: "stores"), jobs: jobs,
      zones: zones)
    let verifier = PrincipalVerifier()
    try verifier.use([signer.verificationKey])
    let admission = Admission(verifier: verifier)
    var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
    configuration.shutdownGrace = .seconds(2)
    let server = RPCServer(
      services: [
        service.serviceDefinition,
        JobsAdmin(
          jobs: jobs, queues: [GenerateReport.queue], cursors: CursorSigner(secret, list: "dead jobs")
        ).serviceDefinition,
      ], configuration: configuration,
      admit: { try admission.admit($0, $1) }, interceptors: [.databaseErrors], logger: .quiet)
    let serving = ServiceGroup(
      services: works
        ? [postgres, jobs, server, GenerateReport.worker(jobs, zones: zones, logger: .quiet)]
        : [postgres, server],
      logger: .quiet)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await serving.run() }
      let port = try await server.boundAddress.port ?? 0
      let client = RPCClient(target: .tcp(host: "127.0.0.1", port: port), logger: .quiet)
      let calling = ServiceGroup(services: [client], logger: .quiet)
      group.addTask { try await calling.run() }
      let house = TestHouse(
        stores: StoreServiceClient(client), admin: JobsServiceClient(client), postgres: postgres,
        superuser: superuser,
        jobs: jobs, zones: zones, idempotency: idempotency)
      let outcome: Swift.Result<Result, any Error>
      do { outcome = .success(try await body(house)) } catch { outcome = .failure(error) }
      await calling.triggerGracefulShutdown()
      await serving.triggerGracefulShutdown()
      try await group.waitForAll()
      await superuser.loop.drain()
      return try outcome.get()
    }
  }

  private static func client(_ url: String, schema: String? = nil) throws -> PostgresClient {
    var configuration = PostgresClient.Configuration(url: url, applicationName: "StoreSvcTests")
    configuration.schema = schema
    configuration.sharedConnections = 1
    configuration.shutdownGrace = .seconds(2)
    return try PostgresClient(configuration: configuration, logger: .quiet)
  }

  /// Roles belong to the server, and other suites may be making them at this moment.
  private static let roles = """
    DO $$
    BEGIN
      IF to_regrole('mainstreet_store_owner') IS NULL THEN CREATE ROLE mainstreet_store_owner LOGIN; END IF;
      IF to_regrole('mainstreet_store') IS NULL THEN CREATE ROLE mainstreet_store LOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END
    $$
    """
}

extension TestHouse {
  func create(_ name: String = "Corner shop", externalID: String? = nil, timezone: String? = nil) async throws
    -> Store
  {
    try await stores.createStore(
      CreateStoreRequest(name: name, timezone: timezone, externalId: externalID),
      options: CallOptions(metadata: Self.principal())
    ).message
  }

  /// Imports polls, hours or zones, in pieces of `pieceSize` bytes.
  func importFile(_ kind: ImportKind, _ text: String) async throws -> ImportSummary {
    try await importFile(kind, Array(text.utf8))
  }

  func importFile(_ kind: ImportKind, _ bytes: [UInt8], pieceSize: Int = 64 * 1024) async throws
    -> ImportSummary
  {
    let pieces: @Sendable (RequestWriter<HttpBody>) async throws -> Void = { writer in
      for start in stride(from: 0, to: bytes.count, by: pieceSize) {
        let piece = ByteBuffer(bytes: bytes[start..<min(start + pieceSize, bytes.count)])
        try await writer.write(HttpBody(contentType: "text/csv", data: piece))
      }
    }
    switch kind {
    case .polls:
      return try await stores.importPolls(options: CallOptions(metadata: Self.principal()), requests: pieces)
        .message
    case .hours:
      return try await stores.importBusinessHours(
        options: CallOptions(metadata: Self.principal()), requests: pieces
      ).message
    case .timezones:
      return try await stores.importTimezones(
        options: CallOptions(metadata: Self.principal()), requests: pieces
      ).message
    }
  }

  enum ImportKind { case polls, hours, timezones }

  /// Asks for a report and waits until it is complete or failed.
  func report(asOf: Timestamp? = nil, stores storeIDs: [String] = []) async throws -> Report {
    let id = try await stores.triggerReport(
      TriggerReportRequest(asOf: asOf, storeIds: storeIDs), options: CallOptions(metadata: Self.principal())
    ).message.reportId
    while true {
      let report = try await stores.getReport(
        GetReportRequest(reportId: id), options: CallOptions(metadata: Self.principal())
      ).message
      if report.status == .complete || report.status == .failed { return report }
    }
  }

  /// Asks for a report and leaves it to whoever computes it.
  func trigger(as tenant: UUID = tenant) async throws -> UUID {
    let answer = try await stores.triggerReport(
      TriggerReportRequest(), options: CallOptions(metadata: Self.principal(tenant)))
    return try #require(UUID(answer.message.reportId))
  }

  func getReport(_ id: UUID) async throws -> Report {
    try await stores.getReport(
      GetReportRequest(reportId: "\(id)"), options: CallOptions(metadata: Self.principal())
    ).message
  }

  /// The body of a download with its type and disposition.
  func download(_ id: String, as tenant: UUID = tenant) async throws -> (
    type: String, body: String, name: String?
  ) {
    try await stores.downloadReport(
      DownloadReportRequest(reportId: id), options: CallOptions(metadata: Self.principal(tenant))
    ) { stream in
      var type = ""
      var body = ByteBuffer()
      for try await piece in stream {
        if type.isEmpty { type = piece.contentType }
        body.writeImmutableBuffer(piece.data)
      }
      return (type, String(buffer: body), try await stream.initialMetadata["http-content-disposition"])
    }
  }
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
  static var quiet: Logger { Logger(label: "StoreSvcTests") { _ in SwiftLogNoOpLogHandler() } }
}

/// The reason of the error a call ends with.
func reason(of body: () async throws -> some Any) async throws -> String? {
  do {
    _ = try await body()
    return nil
  } catch let error as RPCError {
    return error.reason
  }
}

/// The fields that the error names with which a call ends.
func violations(of body: () async throws -> some Any) async throws -> [String] {
  do {
    _ = try await body()
    return []
  } catch let error as RPCError {
    return error.violations.map(\.field)
  }
}

/// Expects a call to end with the error of that reason.
func expectReason(
  _ expected: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> some Any
) async throws {
  let found = try await reason(of: body)
  #expect(found == expected, sourceLocation: sourceLocation)
}
