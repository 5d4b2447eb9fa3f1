import Glibc
import Logging
import NIOCore
import Testing

@testable import Postgres

/// Adds a line; if asked to, only once it has the lock, and some seconds later.
private struct Add: Statement {
  static let name = "Add"
  static let sql = """
    INSERT INTO log (id, note) SELECT $1, CASE WHEN $2 THEN concat(pg_advisory_xact_lock(1), pg_sleep($3)) END
    """
  var id: Int64
  var takesLock = false
  var seconds = 0.0
  func bind(into bindings: inout Bindings) {
    bindings.append(id)
    bindings.append(takesLock)
    bindings.append(seconds)
  }
}

private struct CountOf: Statement {
  static let name = "CountOf"
  static let sql = "SELECT count(*) FROM log WHERE id = $1"
  static let isIdempotent = true
  var id: Int64
  func bind(into bindings: inout Bindings) { bindings.append(id) }
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

/// Waits as long as another has the lock.
private struct WaitingRead: Statement {
  static let name = "WaitingRead"
  static let sql = "SELECT count(*) FROM pg_advisory_xact_lock(1)"
  static let isIdempotent = true
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

private let log = "CREATE TABLE log (id int8, note text)"

/// Ends the backend that waits for this, once there is one.
private func endBackend(waitingFor event: String, _ other: PostgresClient) async throws {
  while try await other.value(
    """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event = '\(event)'
    """, Int64.self) == 0
  {}
}

@Suite("When connections break", .timeLimit(.minutes(2)))
struct RecoveryTests {
  @Test("A backend that is ended says so: what it had not begun is carried out by the next, once")
  func terminatedBackend() async throws {
    try await TestDatabase.with { database in
      try await TestDatabase.withClient(database.url) { other in
        try await other.script(log)
        try await TestDatabase.withClient(database.url, { $0.sharedConnections = 1 }) { client in
          try await client.ping()
          let requests = try await other.transaction(tenant: nil) { holder in
            try await holder.execute(sql: "SELECT pg_advisory_xact_lock(1)")
            let requests = (1...20).map { id in
              Task { try await client.executeCount(Add(id: Int64(id), takesLock: id == 1), tenant: nil) }
            }
            try await endBackend(waitingFor: "advisory", other)
            return requests
          }
          for request in requests { try await #expect(request.value == 1) }
          for id in 1...20 as ClosedRange<Int64> {
            try await #expect(client.executeOne(CountOf(id: id), tenant: nil) == 1)
          }
        }
      }
    }
  }

  @Test("A transaction whose backend is ended fails, and was not applied")
  func terminatedTransaction() async throws {
    try await TestDatabase.with { database in
      try await TestDatabase.withClient(database.url) { other in
        try await other.script(log)
        try await TestDatabase.withClient(database.url) { client in
          let transaction = Task {
            try await client.transaction(tenant: nil) { transaction in
              try await transaction.executeCount(Add(id: 1))
              try await transaction.executeCount(Add(id: 2, takesLock: true, seconds: 60))
            }
          }
          try await endBackend(waitingFor: "PgSleep", other)
          let error = await #expect(throws: PostgresError.self) { try await transaction.value }
          #expect(error?.kind == .connectionLost)
          #expect(error?.sqlState == .adminShutdown)
          #expect(error?.maybeApplied == false)
          try await #expect(client.executeOne(CountOf(id: 1), tenant: nil) == 0)
          try await client.transaction(tenant: nil) { try await $0.executeCount(Add(id: 1)) }
        }
      }
    }
  }

  @Test("Without a server, callers are told and do not hang")
  func noServer() async throws {
    try await TestDatabase.withClient(
      "postgresql://nobody:secret@/x?host=/nonexistent", { $0.unavailableAfter = .seconds(1) }
    ) { client in
      let errors = [
        await #expect(throws: PostgresError.self) { try await client.ping() },
        await #expect(throws: PostgresError.self) { try await client.transaction(tenant: nil) { _ in } },
      ]
      #expect(errors.map { $0?.kind } == [.unavailable, .unavailable])
      #expect(errors.allSatisfy { $0?.message.contains("/nonexistent") == true })
      #expect(errors.allSatisfy { $0?.description.contains("secret") == false })
    }
  }

  @Test("A URL that is none is refused without being repeated")
  func invalidURL() {
    let error = #expect(throws: PostgresError.self) {
      try PostgresClient(
        configuration: PostgresClient.Configuration(url: "postgresql://u:secret@h/db?nonsense=1"),
        logger: .init(label: "x"))
    }
    #expect(error?.kind == .misuse)
    #expect(error?.description.contains("secret") == false)
  }

  @Test("A configuration is described without its password")
  func description() {
    let configuration = PostgresClient.Configuration(
      url: "postgresql://user:secret@a:1,b:2/db?target_session_attrs=read-write")
    #expect(configuration.description.contains("a,b"))
    #expect(configuration.description.contains("target_session_attrs=read-write"))
    #expect(!configuration.description.contains("secret"))
  }
}

/// Each test has a server of its own, to be killed.
@Suite("When the server dies", .serialized, .timeLimit(.minutes(2)))
struct ServerDeathTests {
  @Test("After kill -9 and a restart callers are served again by the same client")
  func killAndRestart() async throws {
    try await TestServer.with { server in
      try await TestDatabase.withClient(server.url, { $0.unavailableAfter = .milliseconds(500) }) { client in
        try await client.script(log)
        try await client.executeCount(Add(id: 1), tenant: nil)
        try server.kill()
        while true {
          do { try await client.ping() } catch let error as PostgresError where error.kind == .unavailable {
            break
          }
        }
        try server.start()
        while (try? await client.ping()) == nil {}
        while (try? await client.transaction(tenant: nil, { try await $0.executeCount(Add(id: 2)) })) == nil {
        }
        try await #expect(client.executeOne(CountOf(id: 1), tenant: nil) == 1)
      }
    }
  }

  @Test("What a dying server was doing may have been applied, unless it was a read, which is done again")
  func maybeApplied() async throws {
    try await TestServer.with { server in
      // One request is sent at a time, so a second one has certainly not been.
      func withClient(_ body: (PostgresClient) async throws -> Void) async throws {
        try await TestDatabase.withClient(
          server.url,
          {
            $0.sharedConnections = 1
            $0.pipelineDepth = 1
          }, body)
      }
      try await withClient { writer in
        try await withClient { reader in
          try await writer.script(log)
          let write = Task {
            try await writer.executeCount(Add(id: 1, takesLock: true, seconds: 60), tenant: nil)
          }
          while try await server.backends(waitingFor: "PgSleep") == 0 {}
          let read = Task { try await reader.executeOne(WaitingRead(), tenant: nil) }
          while try await server.backends(waitingFor: "advisory") == 0 {}
          let unsent = Task { try await writer.executeCount(Add(id: 2), tenant: nil) }
          try server.kill()
          try server.start()
          let error = await #expect(throws: PostgresError.self) { try await write.value }
          #expect(error?.kind == .connectionLost)
          #expect(error?.maybeApplied == true)
          try await #expect(read.value == 1)
          try await #expect(unsent.value == 1)
        }
      }
    }
  }

  @Test(
    "A host that falls silent keeps a statement waiting for three seconds, a copy for longer, or as the URL says"
  )
  func silence() async throws {
    try await TestServer.with { server in
      let port = try TestServer.freePort()
      try server.stop()
      try server.start("-c listen_addresses=127.0.0.1 -c port=\(port)")
      func patience(_ settings: String, copies: Bool) throws -> Int32 {
        let url = "postgresql://127.0.0.1:\(port)/postgres?user=postgres\(settings)"
        let configuration = PostgresClient.Configuration(url: url)
        let connector = Connector(
          parameters: try configuration.connectionParameters(), logger: Logger(label: "test"))
        let connection = try connector.connect(mayCopy: copies).get()
        var milliseconds: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let status = getsockopt(
          connection.socket, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, &length)
        try #require(status == 0)
        return milliseconds
      }
      #expect(try patience("", copies: false) == 3000)
      #expect(try patience("", copies: true) == 20_000)
      #expect(try patience("&tcp_user_timeout=7000", copies: false) == 7000)
      #expect(try patience("&tcp_user_timeout=7000", copies: true) == 7000)
    }
  }
}
