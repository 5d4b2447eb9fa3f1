import NIOCore
import Testing

@testable import Postgres

private struct Twice: Statement {
  static let name = "Twice"
  static let sql = "SELECT $1 * 2"
  static let isIdempotent = true
  var number: Int64
  func bind(into bindings: inout Bindings) { bindings.append(number) }
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

private struct Divide: Statement {
  static let name = "Divide"
  static let sql = "SELECT 100 / $1"
  var divisor: Int32
  func bind(into bindings: inout Bindings) { bindings.append(divisor) }
  static func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}

private struct AddItem: Statement {
  static let name = "AddItem"
  static let sql = "INSERT INTO items (id, parent) VALUES ($1, $2)"
  var id: Int64
  var parent: Int64?
  func bind(into bindings: inout Bindings) {
    bindings.append(id)
    bindings.append(parent)
  }
}

private struct AllItems: Statement {
  static let name = "AllItems"
  static let sql = "SELECT * FROM items ORDER BY id"
  static func decode(_ row: inout RowReader) throws -> Int64 {
    let id = try row.next(Int64.self)
    _ = try row.next(Int64?.self)
    return id
  }
}

private struct NoSuchTable: Statement {
  static let name = "NoSuchTable"
  static let sql = "SELECT 1 FROM no_such_table"
}

private struct OwnRows: Statement {
  static let name = "OwnRows"
  static let sql = "SELECT owner FROM secrets"
  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

private struct Sleep: Statement {
  static let name = "Sleep"
  static let sql = "SELECT pg_sleep($1)"
  var seconds: Double
  func bind(into bindings: inout Bindings) { bindings.append(seconds) }
}

private let items = """
  CREATE TABLE items (id int8 CONSTRAINT items_key PRIMARY KEY, parent int8,
    CONSTRAINT items_parent FOREIGN KEY (parent) REFERENCES items DEFERRABLE INITIALLY DEFERRED)
  """

@Suite("Statements on shared connections")
struct ExecuteTests {
  @Test("Names without a schema are those of the schema the configuration names")
  func schema() async throws {
    try await TestDatabase.withClient(setup: "CREATE SCHEMA shop") { client in
      try await TestDatabase.withClient(client.configuration.url, { $0.schema = "shop" }) { client in
        try await #expect(client.value("SHOW search_path", String.self) == "shop")
      }
    }
  }

  @Test("Many callers at once each get their own answer")
  func manyCallers() async throws {
    try await TestDatabase.withClient { client in
      try await withThrowingTaskGroup { group in
        for number in 0..<5000 as Range<Int64> {
          group.addTask {
            let rows = try await client.execute(Twice(number: number), tenant: nil)
            #expect(rows == [number * 2])
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test("An error reaches its caller and no other")
  func errorsStayPrivate() async throws {
    try await TestDatabase.withClient({ $0.sharedConnections = 1 }) { client in
      try await withThrowingTaskGroup { group in
        for number in 0..<1000 as Range<Int32> {
          group.addTask {
            if number % 3 == 0 {
              let error = await #expect(throws: PostgresError.self) {
                try await client.executeOne(Divide(divisor: 0), tenant: UUID(high: 1, low: 1))
              }
              #expect(error?.sqlState?.rawValue == "22012")
              #expect(error?.kind == .server)
              #expect(error?.maybeApplied == false)
            } else {
              try await #expect(client.executeOne(Divide(divisor: number), tenant: nil) == 100 / number)
            }
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test("A violated constraint is told with its name, table and schema")
  func constraint() async throws {
    try await TestDatabase.withClient(setup: items) { client in
      try await #expect(client.executeCount(AddItem(id: 1), tenant: nil) == 1)
      let error = await #expect(throws: PostgresError.self) {
        try await client.executeCount(AddItem(id: 1), tenant: nil)
      }
      #expect(error?.sqlState == .uniqueViolation)
      #expect(error?.constraint == "items_key")
      #expect(error?.table == "items")
      #expect(error?.schema == "public")
      #expect(error?.severity == "ERROR")
      #expect(error?.statement == "AddItem")
    }
  }

  @Test("A constraint checked at commit fails its caller, and the next caller is served")
  func deferredConstraint() async throws {
    try await TestDatabase.withClient(setup: items, { $0.sharedConnections = 1 }) { client in
      let first = Task { try await client.executeCount(AddItem(id: 1, parent: 99), tenant: nil) }
      let second = Task { try await client.executeCount(AddItem(id: 2), tenant: nil) }
      let error = await #expect(throws: PostgresError.self) { try await first.value }
      #expect(error?.sqlState == .foreignKeyViolation)
      #expect(error?.constraint == "items_parent")
      try await #expect(second.value == 1)
      try await #expect(client.execute(AllItems(), tenant: nil) == [2])
    }
  }

  @Test("A batch is atomic: its last statement's error undoes the first")
  func batchIsAtomic() async throws {
    try await TestDatabase.withClient(setup: items) { client in
      _ = try await client.executeBatch(AddItem(id: 1), AddItem(id: 2), tenant: nil)
      await #expect(throws: PostgresError.self) {
        _ = try await client.executeBatch(AddItem(id: 3), AddItem(id: 1), tenant: nil)
      }
      let (ids, doubled) = try await client.executeBatch(AllItems(), Twice(number: 4), tenant: nil)
      #expect(ids == [1, 2])
      #expect(doubled == [8])
    }
  }

  @Test("SQL that cannot be parsed fails every caller in the same way, first and later")
  func parseError() async throws {
    try await TestDatabase.withClient({ $0.sharedConnections = 1 }) { client in
      await withTaskGroup { group in
        for _ in 0..<50 {
          group.addTask {
            let error = await #expect(throws: PostgresError.self) {
              try await client.executeCount(NoSuchTable(), tenant: nil)
            }
            #expect(error?.sqlState == .undefinedTable)
          }
        }
      }
    }
  }

  @Test("A statement whose Parse was skipped by another's error is parsed by those behind it")
  func skippedParse() async throws {
    try await TestDatabase.withClient({ $0.sharedConnections = 1 }) { client in
      try await withThrowingTaskGroup { group in
        group.addTask {
          _ = try? await client.executeBatch(Divide(divisor: 0), Twice(number: 1), tenant: nil)
        }
        for number in 0..<50 as Range<Int64> {
          group.addTask {
            try await #expect(client.executeOne(Twice(number: number), tenant: nil) == number * 2)
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test("A table that gains a column under a prepared statement is read again without the caller noticing")
  func cachedPlan() async throws {
    try await TestDatabase.withClient(setup: items, { $0.sharedConnections = 1 }) { client in
      try await client.executeCount(AddItem(id: 7), tenant: nil)
      try await #expect(client.execute(AllItems(), tenant: nil) == [7])
      try await client.script("ALTER TABLE items DROP CONSTRAINT items_parent, ALTER parent TYPE int4")
      // The prepared statement is stale now, and its type must be the new one's: the caller's decoding says so.
      let error = await #expect(throws: PostgresError.self) {
        try await client.execute(AllItems(), tenant: nil)
      }
      #expect(error?.kind == .decoding)
      try await client.script("ALTER TABLE items ALTER parent TYPE int8")
      try await #expect(client.execute(AllItems(), tenant: nil) == [7])
      try await #expect(client.execute(AllItems(), tenant: nil) == [7])
      try await client.transaction(tenant: nil) { try await #expect($0.execute(AllItems()) == [7]) }
      try await client.script(
        "ALTER TABLE items ALTER parent TYPE int4; ALTER TABLE items ALTER parent TYPE int8")
      try await client.transaction(tenant: nil) { try await #expect($0.execute(AllItems()) == [7]) }
    }
  }

  @Test("Row-level security shows each caller its tenant's rows, however requests share a connection")
  func rowLevelSecurity() async throws {
    try await TestDatabase.with { database in
      let role = database.name + "_login"
      let tenants = (0..<8).map { UUID(high: 7, low: $0) }
      try await TestDatabase.withClient(database.url) { owner in
        try await owner.script(
          """
          CREATE ROLE \(role) LOGIN;
          CREATE TABLE secrets (tenant_id uuid NOT NULL, owner text NOT NULL);
          ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
          ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
          CREATE POLICY tenant ON secrets
            USING (tenant_id = NULLIF(current_setting('mainstreet.tenant', true), '')::uuid);
          GRANT SELECT ON secrets TO \(role);
          INSERT INTO secrets SELECT uuid::uuid, uuid
            FROM unnest('{\(tenants.map(\.description).joined(separator: ","))}'::text[]) uuid;
          """)
      }
      try await TestDatabase.withClient(database.url(user: role), { $0.sharedConnections = 1 }) { client in
        try await withThrowingTaskGroup { group in
          for number in 0..<400 {
            let tenant = number % 9 == 8 ? nil : tenants[number % 9]
            group.addTask {
              let seen = try await client.execute(OwnRows(), tenant: tenant)
              #expect(seen == (tenant.map { [$0.description] } ?? []))
            }
          }
          try await group.waitForAll()
        }
        try await client.transaction(tenant: tenants[3]) { transaction in
          try await #expect(transaction.execute(OwnRows()) == [tenants[3].description])
        }
        try await client.transaction(tenant: nil) { transaction in
          try await #expect(transaction.execute(OwnRows()).isEmpty)
        }
      }
      try await TestDatabase.withClient(database.url) { owner in
        try await owner.script("DROP OWNED BY \(role); DROP ROLE \(role)")
      }
    }
  }

  @Test("A result of other columns than the statement's type says which one, and why")
  func decodingErrors() async throws {
    try await TestDatabase.withClient { client in
      func message(_ operation: () async throws -> Void) async -> String? {
        await #expect(throws: PostgresError.self) { try await operation() }?.message
      }
      #expect(
        await message { _ = try await client.value("SELECT 1::int8 AS n", Int32.self) }
          == "column 1 n is int8, not int4")
      #expect(
        await message { _ = try await client.value("SELECT NULL::text AS n", String.self) }
          == "column 1 n is NULL")
      #expect(
        await message { _ = try await client.value("SELECT 1, 2", Int32.self) } == "1 of 2 columns were read")
      #expect(
        await message { _ = try await client.value("SELECT g FROM generate_series(1, 2) g", Int32.self) }
          == "2 rows where at most one was expected")
    }
  }

  @Test("A full queue fails at once, and those in it are served")
  func queueFull() async throws {
    try await TestDatabase.withClient({
      $0.sharedConnections = 1
      $0.pipelineDepth = 1
      $0.queueLimit = 3
    }) { client in
      try await client.ping()
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<20 {
          group.addTask {
            do {
              _ = try await client.executeCount(Sleep(seconds: 0.05), tenant: nil)
              return true
            } catch let error as PostgresError where error.kind == .queueFull {
              return false
            }
          }
        }
        let served = try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        #expect(served >= 3 && served < 20)
      }
    }
  }

  @Test("A deadline ends the wait, whether the statement was sent or not")
  func deadline() async throws {
    try await TestDatabase.withClient({
      $0.sharedConnections = 1
      $0.pipelineDepth = 1
    }) { client in
      try await client.ping()
      let sleeps = (0..<2).map { _ in
        Task {
          try await client.executeCount(
            Sleep(seconds: 0.5), tenant: nil, deadline: .now() + .milliseconds(100))
        }
      }
      var errors: [PostgresError?] = []
      for sleep in sleeps {
        errors.append(await #expect(throws: PostgresError.self) { try await sleep.value })
      }
      #expect(errors.map { $0?.kind } == [.deadlineExceeded, .deadlineExceeded])
      #expect(Set(errors.map { $0?.maybeApplied }) == [true, false])
    }
  }

  @Test("Cancelling a caller drops its answer, and the others' are not disturbed")
  func cancellation() async throws {
    try await TestDatabase.withClient({ $0.sharedConnections = 1 }) { client in
      try await client.ping()
      let sleeper = Task { try await client.executeCount(Sleep(seconds: 0.3), tenant: nil) }
      let next = Task { try await client.executeOne(Twice(number: 21), tenant: nil) }
      sleeper.cancel()
      await #expect(throws: CancellationError.self) { try await sleeper.value }
      try await #expect(next.value == 42)
      let before = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return try await client.executeOne(Twice(number: 21), tenant: nil)
      }
      await #expect(throws: CancellationError.self) { try await before.value }
    }
  }
}
