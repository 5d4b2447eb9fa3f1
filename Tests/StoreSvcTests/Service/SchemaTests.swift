import Foundation
import MainstreetAPI
import Testing

@testable import Postgres
@testable import StoreSvc

@Suite("Schema")
struct SchemaTests {
  /// What every tenant table must be; anything this finds is a hole.
  private struct FindUnguardedTables: Statement {
    static let name = "FindUnguardedTables"
    static let sql = """
      SELECT c.relname::text || ': ' || CASE
          WHEN NOT c.relrowsecurity OR NOT c.relforcerowsecurity THEN 'row-level security is not forced'
          WHEN NOT c.relispartition
            AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant')
            THEN 'no policy'
          ELSE 'a unique key does not begin with tenant_id' END
      FROM pg_class c
      WHERE c.relnamespace = 'store'::regnamespace AND c.relkind IN ('r', 'p')
        AND c.relname <> 'schema_migrations'
        AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity
          OR NOT c.relispartition
            AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant')
          OR EXISTS (
            SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND a.attname <> 'tenant_id'))
      """
    static func decode(_ row: inout RowReader) throws -> String { try row.next() }
  }

  private struct CountTables: Statement {
    static let name = "CountTables"
    static let sql = """
      SELECT count(*) FROM pg_class WHERE relnamespace = 'store'::regnamespace AND relkind IN ('r', 'p')
      """
    static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
  }

  @Test("Every table forces row-level security, and its unique keys begin with tenant_id")
  func guarded() async throws {
    try await TestHouse.with(works: false) { house in
      let months = EnsurePollPartitions(instants: [PostgresTimestamp(microseconds: 0), .now()])
      try await house.postgres.executeCount(months, tenant: nil)
      // A partition without a policy shows nothing to whoever asks it directly.
      #expect(try await house.superuser.execute(FindUnguardedTables(), tenant: nil) == [])
      let count = try await house.superuser.executeOne(CountTables(), tenant: nil)
      #expect(count ?? 0 >= 9)
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

  @Test("Without a tenant a session sees nothing, and only claim_report crosses tenants")
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

  static let statements: [any Statement.Type] = [
    ChangeStore.self, EnsurePollPartitions.self, FindStagedMonths.self, ClaimReport.self, CompleteReport.self,
    CreateImportedStores.self,
    DeleteHours.self, DeleteHoursOfStagedStores.self, DeletePollsOfStore.self, DeleteStoreRow.self,
    DeleteOldReports.self, ExtendLease.self, FailReport.self, FindMissingStore.self, FindNewestPoll.self,
    FindReport.self,
    FindReportChunk.self, FindStore.self, InsertHours.self, InsertImport.self, InsertReportChunk.self,
    InsertStagedHours.self, InsertStore.self, ListStoresPage.self, LoadPolls.self,
    LoadReportStores.self, LockImports.self, LockStagedStores.self, MergeStagedPolls.self, QueueReport.self,
    ReleaseReport.self, RequeueReport.self,
    ResolveImportedStores.self, SetStagedTimezones.self, SettleAsOf.self,
    TouchStagedStores.self, TouchStore.self, UpsertPolls.self,
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

  @Test("No statement is missing from that list")
  func listed() throws {
    let sources = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "../../../Sources/StoreSvc"
    )
    .standardized
    let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
    var declared: Set<String> = []
    for case let file as URL in files where file.pathExtension == "swift" {
      let text = try String(contentsOf: file, encoding: .utf8)
      for match in text.matches(of: /struct (\w+): Statement \{/) { declared.insert(String(match.1)) }
    }
    #expect(declared == Set(Self.statements.map { "\($0)" }))
  }
}
