import Testing

@testable import Jobs
@testable import Postgres

@Suite("Plans")
struct PlanTests {
  @Test("What workers do all day walks over no table, though plans are made while all are empty")
  func noScans() async throws {
    try await TestQueue.with { queue in
      // So small a table would be walked over wherever the planner has the choice.
      for table in ["ready", "running", "scheduled", "blocked", "unique", "dead"] {
        try await queue.superuser.run(sql: "VACUUM ANALYZE jobs_\(table)")
      }
      let worker = try await queue.enlist()
      try await queue.add(["one", "two"])
      // A transaction counts its own at once.
      let scanned = try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
        _ = try await transaction.execute(StageJobs(most: 10, since: .negativeInfinity))
        let rows = try await transaction.execute(
          FetchJobs(
            worker: worker.id, queue: "test", most: 10, share: 10, firstLane: 0,
            floors: Array(repeating: 0, count: 256), suspects: 1))
        let jobs: [FetchedJob] = rows.compactMap { if case .job(let job) = $0 { job } else { nil } }
        #expect(jobs.count == 2)
        let settlement = Settlement(job: jobs[0].id, attempt: 1, outcome: .snooze, delay: .zero)
        _ = try await transaction.execute(SettleJobs(worker: worker.id, settlements: [settlement]))
        let refused = try await transaction.execute(
          FinishJobs(worker: worker.id, jobs: [jobs[1].id], attempts: [1]))
        #expect(refused.isEmpty)
        _ = try await transaction.execute(UnblockJobs(keys: ["key"], counts: [1]))
        return try await transaction.execute(ScannedTables(schema: queue.schema))
      }
      // These have a row for each worker and each limited queue.
      #expect(Set(scanned).subtracting(["jobs_workers", "jobs_queues"]) == [])
    }
  }
}

private struct ScannedTables: Statement {
  static let name = "ScannedTables"
  static let sql = "SELECT relname::text FROM pg_stat_xact_user_tables WHERE schemaname = $1 AND seq_scan > 0"
  var schema: String
  func bind(into bindings: inout Bindings) { bindings.append(schema) }
  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
