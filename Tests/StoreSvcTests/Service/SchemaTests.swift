import Foundation
import MainstreetAPI
import Testing

@testable import Postgres
@testable import ServiceKit
@testable import StoreSvc

@Suite("Schema")
struct SchemaTests {
  private struct CountTables: Statement {
    static let name = "CountTables"
    static let sql = """
      SELECT count(*) FROM pg_class WHERE relnamespace = 'store'::regnamespace AND relkind IN ('r', 'p')
      """
    static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
  }

  /// What Tests/Architecture/tenants.sql complains about.
  private struct FindTenantsLeaks: Statement {
    static let name = "FindTenantsLeaks"
    static let sql =
      (try? String(contentsOf: root.appending(path: "Tests/Architecture/tenants.sql"), encoding: .utf8)) ?? ""
    private static let root = URL(filePath: #filePath).appending(path: "../../../..").standardized
    static func decode(_ row: inout RowReader) throws -> String { try row.next() }
  }

  @Test("Every table forces row-level security, and its unique keys begin with tenant_id")
  func guarded() async throws {
    try await TestHouse.with(works: false) { house in
      let months = EnsurePollPartitions(instants: [PostgresTimestamp(microseconds: 0), .now()])
      try await house.postgres.executeCount(months, tenant: nil)
      #expect(try await house.superuser.execute(FindTenantsLeaks(), tenant: nil) == [])
      let count = try await house.superuser.executeOne(CountTables(), tenant: nil)
      #expect(count ?? 0 >= 9)
    }
  }

  @Test(
    "What would open a table to other tenants is found",
    arguments: [
      (
        "ALTER TABLE store.stores NO FORCE ROW LEVEL SECURITY",
        ["store.stores: row-level security is not forced"]
      ),
      (
        "CREATE UNIQUE INDEX names ON store.stores (name)",
        ["store.stores: the key store.names does not begin with tenant_id"]
      ),
      (
        "CREATE UNIQUE INDEX names ON store.stores (lower(name), tenant_id)",
        ["store.stores: the key store.names does not begin with tenant_id"]
      ),
      (
        "CREATE POLICY leak ON store.polls FOR SELECT USING (true)",
        ["store.polls: the policy leak does not ask for the tenant"]
      ),
      ("DROP POLICY tenant ON store.polls", ["store.polls: no policy for the tenant"]),
      (
        "ALTER TABLE store.imports DROP CONSTRAINT imports_pkey, ALTER tenant_id DROP NOT NULL",
        ["store.imports: no column tenant_id uuid NOT NULL"]
      ),
      (
        "CREATE MATERIALIZED VIEW store.names AS SELECT tenant_id, name FROM store.stores; GRANT SELECT ON store.names TO mainstreet_store",
        [
          "store.names: a materialized view has no row-level security",
          "store.names: no column tenant_id uuid NOT NULL",
        ]
      ),
      (
        "CREATE POLICY leak ON store.polls FOR INSERT WITH CHECK (true)",
        ["store.polls: the policy leak does not ask for the tenant"]
      ),
      (
        "ALTER POLICY tenant ON store.polls WITH CHECK (true)",
        [
          "store.polls: no policy for the tenant",
          "store.polls: the policy tenant does not ask for the tenant",
        ]
      ),
      (
        "CREATE TABLE store.queue (id int8 PRIMARY KEY); GRANT INSERT (id) ON store.queue TO mainstreet_store",
        [
          "store.queue: no column tenant_id uuid NOT NULL",
          "store.queue: no policy for the tenant",
          "store.queue: row-level security is not forced",
          "store.queue: the key store.queue_pkey does not begin with tenant_id",
        ]
      ),
      // Nobody who serves can do anything with it.
      ("CREATE TABLE store.queue (id int8 PRIMARY KEY)", []),
      (
        "CREATE FUNCTION store.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM store.jobs_running'",
        ["store.peek: runs as its owner, and is not among the functions that may"]
      ),
    ])
  func found(tampering: String, complaints: [String]) async throws {
    struct Undone: Error {}
    try await TestHouse.with(works: false) { house in
      _ = await #expect(throws: Undone.self) {
        try await house.superuser.transaction(tenant: nil) { transaction in
          try await transaction.script(tampering)
          try await #expect(transaction.execute(FindTenantsLeaks()) == complaints)
          throw Undone()
        }
      }
    }
  }

  @Test("However old polls are, those before 2020 share one partition")
  func oldPolls() async throws {
    try await TestHouse.with(works: false) { house in
      let before = try await house.superuser.executeOne(CountTables(), tenant: nil)
      let instants = (1970..<2020).map { year in
        PostgresTimestamp(microseconds: Int64(year - 1970) * 31_556_952 * 1_000_000)
      }
      try await house.postgres.executeCount(EnsurePollPartitions(instants: instants), tenant: nil)
      #expect(try await house.superuser.executeOne(CountTables(), tenant: nil) == before)
      let summary = try await house.importFile(
        .polls, "store_id,status,timestamp_utc\na,active,1970-01-01 00:00:00\na,active,2019-12-31 23:59:59\n")
      #expect(summary.accepted == 2)
    }
  }

  @Test("Without a tenant a session sees nothing, and a tenant only its own")
  func withoutTenant() async throws {
    try await TestHouse.with(works: false) { house in
      _ = try await house.create()
      let find = ListStoresPage(tenant: TestHouse.tenant, after: nil, limit: 10)
      #expect(try await house.postgres.execute(find, tenant: nil).isEmpty)
      #expect(try await house.postgres.execute(find, tenant: TestHouse.stranger).isEmpty)
      #expect(try await house.postgres.execute(find, tenant: TestHouse.tenant).count == 1)
      let foreign = InsertStore(
        tenant: TestHouse.tenant, id: .v7(now: .now()), name: "x", timezone: "Etc/UTC", externalID: nil,
        now: .now())
      await #expect(throws: PostgresError.self) {
        try await house.postgres.execute(foreign, tenant: TestHouse.stranger)
      }
    }
  }

  /// All of them: Tests/Architecture/check.py looks.
  static let statements: [any Statement.Type] = [
    BeginReport.self, ChangeStore.self, CloseDeadReports.self, CompleteReport.self, CreateImportedStores.self,
    DeleteHours.self, DeleteHoursOfStagedStores.self, DeleteOldReports.self, DeletePollsOfStore.self,
    DeleteStoreRow.self, EnsurePollPartitions.self, FindMissingStore.self, FindNewestPoll.self,
    FindReport.self, FindReportChunk.self, FindStagedMonths.self, FindStore.self, InsertHours.self,
    InsertImport.self, InsertReportChunk.self, InsertStagedHours.self, InsertStore.self, ListStoresPage.self,
    LoadPolls.self, LoadReportStores.self, LockImports.self, LockStagedStores.self, MergeStagedPolls.self,
    OpenReport.self, ResolveImportedStores.self, SetStagedTimezones.self, TouchStagedStores.self,
    TouchStore.self, UpsertPolls.self,
    // ServiceKit's, in this schema.
    ClaimKey.self, KeepAnswer.self, SweepKeys.self,
  ]

  @Test("Every statement can be prepared against the migrated schema")
  func prepared() async throws {
    try await TestHouse.with(works: false) { house in
      try await house.postgres.transaction(tenant: TestHouse.tenant) { transaction in
        for staging in [PollFile.staging, HoursFile.staging, TimezoneFile.staging] {
          try await transaction.execute(sql: staging.create)
        }
        try await transaction.execute(sql: ImportStores.create)
        for statement in Self.statements {
          try await transaction.execute(
            sql: "PREPARE \(statement.name) AS \(statement.sql)", name: statement.name)
        }
      }
    }
  }
}
