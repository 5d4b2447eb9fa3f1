import Logging
import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import Postgres

private struct Sleep: Statement {
  static let name = "Sleep"
  static let sql = "SELECT pg_sleep($1)"
  var seconds: Double
  func bind(into bindings: inout Bindings) { bindings.append(seconds) }
}

private struct AddItem: Statement {
  static let name = "AddItem"
  static let sql = "INSERT INTO items (id) VALUES ($1)"
  var id: Int64
  func bind(into bindings: inout Bindings) { bindings.append(id) }
}

/// What was logged, as `level message: key=value …` with the keys in order.
private final class Log: LogHandler, Sendable {
  private let lines = NIOLockedValueBox<[String]>([])

  var metadata: Logger.Metadata {
    get { [:] }
    set {}
  }
  var logLevel: Logger.Level {
    get { .debug }
    set {}
  }
  subscript(metadataKey _: String) -> Logger.MetadataValue? {
    get { nil }
    set {}
  }

  func log(event: LogEvent) {
    let pairs = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    lines.withLockedValue { $0.append("\(event.level) \(event.message): \(pairs.joined(separator: " "))") }
  }

  func lines(_ start: String) -> [String] { lines.withLockedValue { $0.filter { $0.hasPrefix(start) } } }
  func wait(for start: String) async { while lines(start).isEmpty { await Task.yield() } }

  var all: String { lines.withLockedValue { $0.joined(separator: "\n") } }
}

/// A client whose log can be read.
private func withClient(
  _ url: String, _ configure: (inout PostgresClient.Configuration) -> Void = { _ in },
  _ body: (PostgresClient, Log) async throws -> Void
) async throws {
  let log = Log()
  var configuration = PostgresClient.Configuration(url: url)
  configuration.sharedConnections = 1
  configuration.shutdownGrace = .seconds(2)
  // Many tests at once on a small machine: what is about time says so itself.
  configuration.unavailableAfter = .seconds(20)
  configuration.queueTimeout = .seconds(20)
  configure(&configuration)
  let client = try PostgresClient(configuration: configuration, logger: Logger(label: "test") { _ in log })
  let result: Result<Void, any Error>
  do { result = .success(try await body(client, log)) } catch { result = .failure(error) }
  await client.loop.drain()
  try result.get()
}

/// What goes wrong in production: what its caller gets, and what the operator reads.
@Suite("What callers and operators are told", .timeLimit(.minutes(1)))
struct FailureTests {
  @Test("A full queue: the caller is refused at once, and the log says so, once a second")
  func queueFull() async throws {
    let narrow: (inout PostgresClient.Configuration) -> Void = {
      ($0.pipelineDepth, $0.queueLimit, $0.leasedConnections, $0.leaseQueueLimit) = (1, 1, 1, 0)
    }
    try await withClient(TestDatabase.serverURL, narrow) { client, log in
      try await client.ping()
      var errors: [PostgresError] = []
      try await withThrowingTaskGroup(of: PostgresError?.self) { group in
        for _ in 0..<20 {
          group.addTask {
            do { try await client.executeCount(Sleep(seconds: 0.05), tenant: nil) } catch let error
              as PostgresError
            {
              return error
            }
            return nil
          }
        }
        for try await error in group { if let error { errors.append(error) } }
      }
      let error = try #require(errors.first)
      #expect(error.description == "queueFull in Sleep: 1 requests wait already")
      #expect(!error.maybeApplied)
      let lines = log.lines("warning too many wait for Postgres")
      #expect(
        lines.first == "warning too many wait for Postgres: reason=1 requests wait already suppressed=0")
      #expect(lines.count < errors.count)
    }
  }

  @Test("No connection for a transaction in time, and no place to wait for one")
  func poolFull() async throws {
    try await withClient(TestDatabase.serverURL, { ($0.leasedConnections, $0.leaseQueueLimit) = (1, 1) }) {
      client, log in
      try await client.transaction(tenant: nil) { transaction in
        try await transaction.execute(sql: "SELECT 1")
        let deadline = NIODeadline.now() + .milliseconds(100)
        async let waiting = kind { try await client.transaction(tenant: nil, deadline: deadline) { _ in } }
        async let refused = kind { try await client.transaction(tenant: nil, deadline: deadline) { _ in } }
        // Whichever came second found no place.
        #expect(Set([await waiting, await refused]) == [.deadlineExceeded, .queueFull])
      }
      #expect(
        log.lines("warning") == [
          "warning too many wait for Postgres: reason=1 callers wait for a connection already suppressed=0"
        ])
    }
  }

  @Test("No connection for a transaction in time is a line too, though there was a place to wait")
  func poolBusy() async throws {
    try await withClient(TestDatabase.serverURL, { $0.leasedConnections = 1 }) { client, log in
      try await client.transaction(tenant: nil) { transaction in
        try await transaction.execute(sql: "SELECT 1")
        let deadline = NIODeadline.now() + .milliseconds(50)
        #expect(
          await kind { try await client.transaction(tenant: nil, deadline: deadline) { _ in } }
            == .deadlineExceeded)
      }
      #expect(
        log.lines("warning") == [
          "warning too many wait for Postgres: reason=no connection came free in time suppressed=0"
        ])
    }
  }

  private func kind(_ body: () async throws -> Void) async -> PostgresError.Kind? {
    do {
      try await body()
      return nil
    } catch { return (error as? PostgresError)?.kind }
  }

  @Test("A database that is down: unavailable within a second, and one line when it begins and when it ends")
  func down() async throws {
    try await TestServer.with { server in
      try await withClient(server.url, { $0.unavailableAfter = .milliseconds(800) }) { client, log in
        try await client.ping()
        try server.stop()
        let error = await #expect(throws: PostgresError.self) { while true { try await client.ping() } }
        await log.wait(for: "error cannot connect to Postgres")
        // The first may have been on its way when the connection broke.
        let next = await #expect(throws: PostgresError.self) { try await client.ping() }
        #expect(next?.kind == .unavailable)
        #expect(next?.message.contains("No such file or directory") == true, "\(String(describing: error))")
        try server.start()
        while (try? await client.ping()) == nil {}
        #expect(log.lines("warning lost a connection to Postgres").count == 1)
        let lines = log.lines("error cannot connect to Postgres: reason=connection to server on socket")
        #expect(1...3 ~= lines.count, "\(lines)")
        #expect(log.lines("notice connected to Postgres again: seconds=").count == 1)
      }
    }
  }

  @Test("A wrong password and a missing role: unavailable with the server's reason, and the password nowhere")
  func credentials() async throws {
    try await TestServer.with { server in
      try await withClient(server.url) { client, _ in
        try await client.script("CREATE ROLE shop LOGIN PASSWORD 'right'")
      }
      try server.inData("echo 'local all all scram-sha-256' > pg_hba.conf")
      try server.stop()
      try server.start()
      let cases = [
        ("shop", "wr0ng", #"FATAL:  password authentication failed for user "shop""#),
        // To whoever has no password either it is the same answer: the server does not tell who exists.
        ("nobody", "wr0ng", #"FATAL:  password authentication failed for user "nobody""#),
      ]
      for (user, password, reason) in cases {
        let url = "postgresql://\(user):\(password)@/postgres?host=\(server.directory)"
        try await withClient(url, { $0.unavailableAfter = .milliseconds(300) }) { client, log in
          await log.wait(for: "error cannot connect to Postgres")
          let error = await #expect(throws: PostgresError.self) { try await client.ping() }
          #expect(error?.kind == .unavailable)
          #expect(error?.message.hasSuffix(reason) == true)
          #expect(error?.description.contains(password) == false)
          let lines = log.lines("error cannot connect to Postgres: reason=")
          #expect(lines.count == 1 && lines[0].hasSuffix(reason))
          #expect(!log.all.contains(password))
        }
      }
      try await withClient("postgresql://shop:right@/postgres?host=\(server.directory)") { client, log in
        try await client.ping()
        #expect(!log.all.contains("right"))
      }
    }
  }

  @Test("A role that does not exist, where no password is asked for")
  func missingRole() async throws {
    let url = try TestDatabase.serverURL.replacing("user=postgres", with: "user=no_such_role")
    try await withClient(url, { $0.unavailableAfter = .milliseconds(300) }) { client, log in
      await log.wait(for: "error cannot connect to Postgres")
      let error = await #expect(throws: PostgresError.self) { try await client.ping() }
      #expect(error?.kind == .unavailable)
      #expect(error?.message.hasSuffix(#"FATAL:  role "no_such_role" does not exist"#) == true)
      #expect(log.lines("error cannot connect to Postgres: reason=").count == 1)
    }
  }

  @Test("A statement that takes too long: 57014, and a line in the slow log")
  func statementTimeout() async throws {
    try await withClient(
      TestDatabase.serverURL,
      { ($0.statementTimeout, $0.slowStatement) = (.milliseconds(100), .milliseconds(50)) }
    ) { client, log in
      let error = await #expect(throws: PostgresError.self) {
        try await client.executeCount(Sleep(seconds: 60), tenant: nil)
      }
      #expect(error?.kind == .server)
      #expect(error?.sqlState == .queryCanceled)
      #expect(
        error?.description == "server 57014 in Sleep: canceling statement due to statement timeout")
      let lines = log.lines(
        "warning slow statement: error=57014 canceling statement due to statement timeout milliseconds=")
      #expect(lines.count == 1 && lines[0].hasSuffix("statement=Sleep suppressed=0"))
    }
  }

  @Test(
    "A violated constraint: its name to the caller, and to whoever looks closely, without the row's values")
  func constraint() async throws {
    try await TestDatabase.with { database in
      try await withClient(database.url) { client, log in
        try await client.script("CREATE TABLE items (id int8 CONSTRAINT items_key PRIMARY KEY)")
        try await client.executeCount(AddItem(id: 424_242), tenant: nil)
        let error = await #expect(throws: PostgresError.self) {
          try await client.executeCount(AddItem(id: 424_242), tenant: nil)
        }
        #expect(error?.sqlState == .uniqueViolation)
        #expect(error?.constraint == "items_key")
        #expect(
          log.lines("debug statement failed") == [
            "debug statement failed: constraint=items_key "
              + #"reason=duplicate key value violates unique constraint "items_key" "#
              + "sqlstate=23505 statement=AddItem suppressed=0"
          ])
        #expect(!log.all.contains("424242"))
      }
    }
  }
}

@Suite("How often the same is logged")
struct LogLimitTests {
  @Test("So many lines a second, and the next says how many were left out")
  func limits() {
    var limit = LogLimit(linesPerSecond: 2)
    let start = NIODeadline.uptimeNanoseconds(9_000_000_000)
    let offsets: [Int64] = [0, 1, 2, 999, 1000, 1001, 1002, 5000]
    let admitted = offsets.map { limit.admit(now: start + .milliseconds($0)) }
    #expect(admitted == [0, 0, nil, nil, 2, 0, nil, 1])
  }
}
