import Foundation
import Testing

@testable import Jobs
@testable import Postgres

@Suite("Schema of the queue")
struct SchemaTests {
  static let statements: [any Statement.Type] = [
    AddJobs.self, AddUniqueJob.self, AdvanceCron.self, Beat.self, BuryWorker.self, CancelJob.self,
    BeginJob.self, CompleteJob.self, CountJobs.self,
    CronEntries.self, DeclareCron.self, DeclareLimit.self,
    DeclareQueueLimit.self, DeleteDeadJobs.self, EditDeadJob.self, EnlistWorker.self, FetchJobs.self,
    FindJob.self, FinishJobs.self, GroupDeadJobs.self,
    KeepHistory.self, ListCrons.self, ListDeadJobs.self, ListQueues.self, PauseCron.self,
    NotifyOfJobs.self, PauseQueue.self, ReclaimJobs.self, RedriveJobs.self, ServerTime.self, SettleJobs.self,
    StageJobs.self,
    UnblockJobs.self, UnblockJobsAfter.self, WatchWorkers.self,
  ]

  @Test("Every statement can be prepared as the role that serves")
  func prepared() async throws {
    try await TestQueue.with { queue in
      try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
        for statement in Self.statements {
          try await transaction.execute(
            sql: "PREPARE \(statement.name) AS \(statement.sql)", name: statement.name)
        }
      }
    }
  }

  @Test("The role that serves can add to the queue, and neither see, change nor take away what lies in it")
  func closed() async throws {
    try await TestQueue.with { queue in
      let tables = """
        SELECT count(*) FROM pg_class
        WHERE relnamespace = '\(queue.schema)'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'
        """
      let count = try await queue.superuser.value(tables, Int64.self)
      #expect(count ?? 0 >= 15)
      let open = """
        SELECT string_agg(relname, ', ') FROM pg_class
        WHERE relnamespace = '\(queue.schema)'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'
          AND has_table_privilege('mainstreet_jobs', oid, 'SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
        """
      #expect(try await queue.superuser.value(open, String?.self) == .some(nil))
      let internals = """
        SELECT string_agg(proname, ', ' ORDER BY proname) FROM pg_proc
        WHERE pronamespace = '\(queue.schema)'::regnamespace AND NOT has_function_privilege('mainstreet_jobs', oid, 'EXECUTE')
        """
      #expect(
        try await queue.superuser.value(internals, String.self)
          == "jobs_admit, jobs_allow, jobs_dead_matching, jobs_let_go, jobs_refill, jobs_settle_one")
      let others = """
        SELECT count(*) FROM pg_proc, LATERAL aclexplode(proacl) AS acl
        WHERE pronamespace = '\(queue.schema)'::regnamespace AND acl.grantee = 0
        """
      #expect(try await queue.superuser.value(others, Int64.self) == 0)
    }
  }

  @Test("Nothing in it lets one tenant see another's rows")
  func tenants() async throws {
    let root = URL(filePath: #filePath).appending(path: "../../..").standardized
    let sql = try String(contentsOf: root.appending(path: "Tests/Architecture/tenants.sql"), encoding: .utf8)
    try await TestQueue.with { queue in
      let complaints = try await queue.superuser.value(
        "SELECT count(*) FROM (\(sql)) AS found (line) WHERE line LIKE '\(queue.schema).%'", Int64.self)
      #expect(complaints == 0)
      // Jobs may be added, and that is all.
      try await queue.superuser.run(sql: "GRANT SELECT (job_id) ON jobs_ready TO mainstreet_jobs")
      let found = try await queue.superuser.value(
        "SELECT count(*) FROM (\(sql)) AS found (line) WHERE line LIKE '\(queue.schema).jobs_ready:%'",
        Int64.self)
      #expect(found ?? 0 > 0)
    }
  }

  @Test("The functions that run as their owner are those that are listed, no fewer")
  func crossing() async throws {
    let root = URL(filePath: #filePath).appending(path: "../../..").standardized
    let sql = try String(contentsOf: root.appending(path: "Tests/Architecture/tenants.sql"), encoding: .utf8)
    let listed = Set(sql.matches(of: /\('(jobs_\w+)'\)/).map { String($0.1) })
    try await TestQueue.with { queue in
      let definers = """
        SELECT string_agg(proname, ' ') FROM pg_proc
        WHERE pronamespace = '\(queue.schema)'::regnamespace AND prosecdef
        """
      let found = try #require(try await queue.superuser.value(definers, String.self))
      #expect(
        listed.subtracting(["jobs_ready", "jobs_scheduled"])
          == Set(found.split(separator: " ").map { String($0) }))
    }
  }
}
