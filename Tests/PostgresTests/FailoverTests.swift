import Logging
import NIOCore
import Testing

@testable import Postgres

private struct Add: Statement {
  static let name = "Add"
  static let sql = "INSERT INTO log (id) VALUES ($1)"
  var id: Int64
  func bind(into bindings: inout Bindings) { bindings.append(id) }
}

private let ids = "SELECT array_agg(id ORDER BY id) FROM log"
private let readOnly = "SHOW default_transaction_read_only"

/// A primary and a standby each, and clients that are told of both.
@Suite("When another server takes over", .serialized, .timeLimit(.minutes(2)))
struct FailoverTests {
  /// Waits until these have reached the standby.
  private func follow(_ expected: [Int64], by standby: TestServer) async throws {
    try await TestDatabase.withClient(standby.url) { follower in
      while (try? await follower.value(ids, [Int64].self)) != expected {}
    }
  }

  private func url(_ servers: TestServer...) -> String {
    let hosts = servers.map(\.directory).joined(separator: ",")
    return "postgresql:///postgres?host=\(hosts)&user=postgres&target_session_attrs=read-write"
  }

  @Test(
    "After the primary died and its standby was promoted, the same client goes on there, and listens there")
  func promotion() async throws {
    try await TestServer.withStandby { primary, standby in
      try await TestDatabase.withClient(url(primary, standby), { $0.unavailableAfter = .milliseconds(300) }) {
        client in
        try await client.script("CREATE TABLE log (id int8)")
        try await client.executeCount(Add(id: 1), tenant: nil)
        var events = try client.listen(to: ["a"]).makeAsyncIterator()
        #expect(await events.next() == .missed)
        try await follow([1], by: standby)
        try primary.kill()
        while true {
          // A standby is there, but is no place to write.
          do { try await client.ping() } catch let error as PostgresError where error.kind == .unavailable {
            break
          }
        }
        try standby.promote()
        while (try? await client.executeCount(Add(id: 2), tenant: nil)) == nil {}
        while (try? await client.transaction(tenant: nil, { try await $0.executeCount(Add(id: 3)) })) == nil {
        }
        try await #expect(client.value(ids, [Int64].self) == [1, 2, 3])
        #expect(await events.next() == .missed)
      }
    }
  }

  @Test(
    "A primary that was made read-only is left, by statements and transactions alike, and no caller notices")
  func demotion() async throws {
    try await TestServer.withStandby { primary, standby in
      try await TestDatabase.withClient(url(primary, standby), { $0.sharedConnections = 1 }) { first in
        try await TestDatabase.withClient(url(primary, standby), { $0.sharedConnections = 1 }) { second in
          try await first.script("CREATE TABLE log (id int8)")
          try await first.executeCount(Add(id: 1), tenant: nil)
          try await second.transaction(tenant: nil) { try await $0.executeCount(Add(id: 2)) }
          try await follow([1, 2], by: standby)
          try standby.promote()
          try await TestDatabase.withClient(primary.url) { admin in
            try await admin.run(sql: "ALTER SYSTEM SET default_transaction_read_only = on")
            try await admin.run(sql: "SELECT pg_reload_conf()")
          }
          // Each backend learns of it in its own time.
          while try await first.value(readOnly, String.self) != "on" {}
          while try await second.transaction(tenant: nil, { try await $0.executeOne(ShowReadOnly()) }) != "on"
          {}
          try await first.executeCount(Add(id: 3), tenant: nil)
          try await second.transaction(tenant: nil) { try await $0.executeCount(Add(id: 4)) }
          try await TestDatabase.withClient(standby.url) { promoted in
            let added = try await promoted.value(ids, [Int64].self)
            #expect(added == [1, 2, 3, 4])
          }
          // By choice a transaction may be read-only, and that is no reason to go anywhere.
          let error = await #expect(throws: PostgresError.self) {
            try await second.transaction(tenant: nil, options: TransactionOptions(isReadOnly: true)) {
              try await $0.executeCount(Add(id: 5))
            }
          }
          #expect(error?.sqlState == .readOnlyTransaction)
        }
      }
    }
  }
}

private struct ShowReadOnly: Statement {
  static let name = "ShowReadOnly"
  static let sql = "SELECT current_setting('default_transaction_read_only')"
  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
