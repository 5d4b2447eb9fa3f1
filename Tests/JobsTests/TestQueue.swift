import Glibc
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

@testable import Jobs
@testable import Postgres

/// A queue in a schema of its own, used as the role a service has in production.
struct TestQueue: Sendable {
  let schema: String
  let jobs: Jobs
  /// As the superuser, who may look into the tables.
  let superuser: PostgresClient

  static let tenant = UUID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0001)
  static let stranger = UUID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0002)

  static func with<Result: Sendable>(
    _ body: @Sendable (TestQueue) async throws -> Result
  ) async throws -> Result {
    let url = try #require(
      getenv("MAINSTREET_TEST_DATABASE_URL").map { String(cString: $0) },
      "set MAINSTREET_TEST_DATABASE_URL to a superuser's URL of a throwaway Postgres, or run ./dev test")
    let schema = "t" + UUID.v7(now: .now()).description.replacing("-", with: "")
    return try await withClient(url, schema) { superuser in
      try await superuser.run(sql: roles)
      try await superuser.run(sql: "CREATE SCHEMA \(schema) AUTHORIZATION mainstreet_jobs_owner")
      try await superuser.run(sql: "GRANT USAGE ON SCHEMA \(schema) TO mainstreet_jobs")
      let outcome: Swift.Result<Result, any Error>
      do {
        try await withClient(url + "&user=mainstreet_jobs_owner", schema) { owner in
          let migration = Jobs.migration(version: 1, schema: schema, role: "mainstreet_jobs")
          try await Migrator(schema: schema, migrations: [migration]).run(on: owner, logger: .quiet)
        }
        outcome = .success(
          try await withClient(url + "&user=mainstreet_jobs", schema) { client in
            try await body(
              TestQueue(
                schema: schema, jobs: Jobs(postgres: client, logger: .quiet), superuser: superuser))
          })
      } catch { outcome = .failure(error) }
      try await superuser.run(sql: "DROP SCHEMA \(schema) CASCADE")
      return try outcome.get()
    }
  }

  /// Works the queue while `body` runs, then shuts down in an orderly way.
  func working<Result: Sendable>(
    _ handlers: [JobHandler], queues: [String: QueueSettings] = ["test": QueueSettings(concurrency: 4)],
    settings: WorkerSettings = WorkerSettings(), _ body: @Sendable () async throws -> Result
  ) async throws -> Result {
    let worker = JobWorker(jobs: jobs, queues: queues, handlers: handlers, settings: settings)
    return try await Self.serving([worker], body)
  }

  static func serving<Result: Sendable>(
    _ services: [any Service], _ body: @Sendable () async throws -> Result
  ) async throws -> Result {
    let group = ServiceGroup(services: services, logger: .quiet)
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await group.run() }
      let outcome: Swift.Result<Result, any Error>
      do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
      await group.triggerGracefulShutdown()
      try await tasks.waitForAll()
      return try outcome.get()
    }
  }

  static func withClient<Result>(
    _ url: String, _ schema: String, _ body: (PostgresClient) async throws -> Result
  ) async throws -> Result {
    var configuration = PostgresClient.Configuration(url: url, applicationName: "JobsTests")
    configuration.schema = schema
    configuration.shutdownGrace = .seconds(2)
    // Many tests at once on a small machine: what is about time says so itself.
    configuration.unavailableAfter = .seconds(20)
    configuration.queueTimeout = .seconds(20)
    configuration.lockTimeout = .seconds(10)
    configuration.sharedConnections = 1
    let client = try PostgresClient(configuration: configuration, logger: .quiet)
    let outcome: Swift.Result<Result, any Error>
    do { outcome = .success(try await body(client)) } catch { outcome = .failure(error) }
    await client.loop.drain()
    return try outcome.get()
  }

  /// Roles belong to the server, and other suites may be making them at this moment.
  private static let roles = """
    DO $$
    BEGIN
      IF to_regrole('mainstreet_jobs_owner') IS NULL THEN CREATE ROLE mainstreet_jobs_owner LOGIN; END IF;
      IF to_regrole('mainstreet_jobs') IS NULL THEN CREATE ROLE mainstreet_jobs LOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END
    $$
    """
}

extension TestQueue {
  /// Waits until the job is at such a station.
  func wait(
    for id: UUID, until isThere: @Sendable (JobStatus) -> Bool = { $0.station.isFinal }
  ) async throws -> JobStatus {
    while true {
      if let status = try await jobs.find(id, tenant: nil), isThere(status) { return status }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// How many rows a table of the queue has.
  func count(_ table: String, where condition: String = "true") async throws -> Int64 {
    try await superuser.value("SELECT count(*) FROM jobs_\(table) WHERE \(condition)") ?? 0
  }
}

extension PostgresClient {
  /// One statement outside any transaction block.
  func run(sql: String) async throws {
    let request = Request([Step(unprepared: sql, name: "Test")], deadline: nil)
    _ = try await request.wait(submit: { loop.submit(.request(request)) })
  }

  /// The one value of one row.
  func value<Column: PostgresDecodable>(_ sql: String, _: Column.Type = Column.self) async throws -> Column? {
    let request = Request([Step(unprepared: sql, name: "Test")], deadline: nil)
    let results = try await request.wait(submit: { loop.submit(.request(request)) })
    return try results[0].onlyRow(of: Single<Column>.self)
  }
}

private struct Single<Column: PostgresDecodable>: Statement {
  static var name: String { "Test" }
  static var sql: String { "" }
  static func decode(_ row: inout RowReader) throws -> Column { try row.next() }
}

extension Logger {
  static var quiet: Logger { Logger(label: "JobsTests") { _ in SwiftLogNoOpLogHandler() } }
}

/// The kind of job most tests are about.
struct Note: JobKind, Hashable {
  static let name = "note"
  static let queue = "test"
  static var options: JobOptions {
    var options = JobOptions()
    options.retry = RetryPolicy(base: .milliseconds(10), cap: .milliseconds(20))
    options.maxAttempts = 3
    return options
  }
  var text: String
}

/// What handlers have seen, in order.
final class Ledger<Entry: Sendable>: Sendable {
  private let state = Mutex<[Entry]>([])
  var entries: [Entry] { state.withLock { $0 } }
  var count: Int { state.withLock { $0.count } }
  /// Returns how many there are with this one.
  @discardableResult
  func write(_ entry: Entry) -> Int {
    state.withLock {
      $0.append(entry)
      return $0.count
    }
  }

  func wait(for count: Int) async throws {
    while self.count < count { try await Task.sleep(for: .milliseconds(2)) }
  }
}

/// Opens once, for all who wait.
final class Gate: Sendable {
  private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

  func open() {
    let waiting = state.withLock { state in
      defer { state = (true, []) }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns once it is open; whoever waits is not to be cancelled.
  func pass() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiting.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }
}
