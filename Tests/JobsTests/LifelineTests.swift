import Testing

@testable import Jobs
@testable import Postgres

@Suite("What may keep a worker from saying that it lives")
struct LifelineTests {
  private static func settings(lease: Duration) -> WorkerSettings {
    var settings = WorkerSettings()
    settings.lease = lease
    return settings
  }

  @Test("One beat that is stuck costs a worker nothing, since there is time for another")
  func stuck() async throws {
    try await TestQueue.with { queue in
      let started = Ledger<Int>()
      let stopped = Ledger<Int>()
      let gate = Gate()
      let handler = JobHandler.on(Note.self) { _, context in
        started.write(context.attempt)
        await withTaskCancellationHandler {
          await gate.pass()
        } onCancel: {
          stopped.write(context.attempt)
        }
      }
      try await queue.working([handler], settings: Self.settings(lease: .seconds(20))) {
        let added = try await queue.add(["a"])
        try await started.wait(for: 1)
        try await queue.superuser.transaction(tenant: nil) { transaction in
          // Nobody can beat now, but fetch.
          try await transaction.execute(sql: "SELECT FROM jobs_workers FOR NO KEY UPDATE")
          let waiting = """
            SELECT count(DISTINCT pid) FROM pg_locks
            WHERE locktype = 'tuple' AND relation = 'jobs_workers'::regclass
            """
          while (try await queue.superuser.value(waiting, Int64.self) ?? 0) < 2, stopped.count == 0 {
            await Task.yield()
          }
        }
        try await queue.beats(3) { stopped.count > 0 }
        gate.open()
        #expect(try await queue.wait(for: added[0].id).attempt == 1)
        #expect(stopped.count == 0)
      }
    }
  }

  @Test("A slow statement of the service keeps no worker from it")
  func slow() async throws {
    try await TestQueue.with { queue in
      try await queue.superuser.run(sql: "CREATE TABLE slow ()")
      try await queue.superuser.run(sql: "GRANT SELECT ON slow TO mainstreet_jobs")
      let stopped = Ledger<Int>()
      let handler = JobHandler.on(Note.self) { _, context in
        try await withTaskCancellationHandler {
          // On the one connection that all of the service shares.
          try await queue.jobs.postgres.run(sql: "SELECT FROM slow")
        } onCancel: {
          stopped.write(context.attempt)
        }
      }
      try await queue.working([handler], settings: Self.settings(lease: .seconds(4))) {
        let added = try await queue.superuser.transaction(tenant: nil) { transaction in
          try await transaction.execute(sql: "LOCK TABLE slow")
          let added = try await queue.add(["a"])
          let waiting = """
            SELECT count(*) FROM pg_locks WHERE relation = 'slow'::regclass AND NOT granted
            """
          while try await queue.superuser.value(waiting, Int64.self) != 1 { await Task.yield() }
          try await queue.beats(2) { stopped.count > 0 }
          return added
        }
        #expect(try await queue.wait(for: added[0].id).attempt == 1)
        #expect(stopped.count == 0)
      }
    }
  }
}

extension TestQueue {
  /// Waits until the one worker there is has beaten so often.
  fileprivate func beats(_ count: Int64, unless isOver: () -> Bool) async throws {
    let beat = "SELECT coalesce(max(beat), 0) FROM jobs_workers"
    let until = (try await superuser.value(beat, Int64.self) ?? 0) + count
    while (try await superuser.value(beat, Int64.self) ?? 0) < until, !isOver() { await Task.yield() }
  }
}
