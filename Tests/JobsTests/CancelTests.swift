import Testing

@testable import Jobs
@testable import Postgres

@Suite("Cancelling jobs")
struct CancelTests {
  @Test("A job that waits is over at once", arguments: ["ready", "scheduled"])
  func waiting(station: String) async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add(["a"]) { if station == "scheduled" { $0.start = .after(.seconds(60)) } }
      #expect(try await queue.jobs.find(added[0].id, tenant: nil)?.station.rawValue == station)
      #expect(try await queue.jobs.cancel(added[0].id, tenant: nil) == .cancelled)
      #expect(try await queue.jobs.find(added[0].id, tenant: nil)?.station == .cancelled)
      #expect(try await queue.jobs.cancel(added[0].id, tenant: nil) == .finished)
      #expect(try await queue.count(station) == 0)
    }
  }

  @Test("A job that runs is told to stop, and is not run again")
  func running() async throws {
    try await TestQueue.with { queue in
      let started = Ledger<Int>()
      let handler = JobHandler.on(Note.self) { _, context in
        started.write(context.attempt)
        try await Task.sleep(for: .seconds(600))
      }
      try await queue.working([handler], queues: ["test": QueueSettings(concurrency: 1)]) {
        let added = try await queue.add(["long"])
        try await started.wait(for: 1)
        #expect(try await queue.jobs.cancel(added[0].id, tenant: nil) == .requested)
        #expect(try await queue.wait(for: added[0].id).station == .cancelled)
        // The one place is free again.
        let next = try await queue.add(["next"])
        try await started.wait(for: 2)
        #expect(try await queue.jobs.cancel(next[0].id, tenant: nil) == .requested)
        #expect(try await queue.wait(for: next[0].id).station == .cancelled)
      }
      #expect(started.entries == [1, 1])
    }
  }

  @Test("A job that ends while somebody cancels it is acknowledged all the same")
  func ending() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a", "b"])
      let worker = try await queue.enlist()
      let fetched = try await worker.fetch()
      let finishing = try await queue.superuser.transaction(tenant: nil) { transaction in
        _ = try await transaction.execute(CancelJob(id: fetched[0].id, tenant: nil))
        let server = try await transaction.executeOne(ServerProcess()) ?? 0
        let finishing = Task { try await worker.finish(fetched) }
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE \(server) = ANY (pg_blocking_pids(pid))"
        while try await queue.superuser.value(waiting, Int64.self) == 0 { await Task.yield() }
        return finishing
      }
      #expect(try await finishing.value == [])
      #expect(try await queue.count("running") == 0)
      #expect(try await queue.count("history", where: "outcome = 'succeeded'") == 2)
    }
  }

  @Test(
    "A job that is to be cancelled does not run again, whatever its run came to",
    arguments: [Settlement.Outcome.retry, .snooze, nil])
  func again(outcome: Settlement.Outcome?) async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add(["a"])
      let worker = try await queue.enlist()
      let job = try await worker.fetch()[0]
      #expect(try await queue.jobs.cancel(added[0].id, tenant: nil) == .requested)
      if let outcome {
        #expect(try await worker.settle(job, outcome) == [])
      } else {
        #expect(try await worker.die() == 1)
      }
      #expect(try await queue.jobs.find(added[0].id, tenant: nil)?.station == .cancelled)
    }
  }

  @Test("Nobody cancels or finds another tenant's job")
  func tenants() async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add(["a"], tenant: TestQueue.tenant)
      #expect(try await queue.jobs.find(added[0].id, tenant: TestQueue.stranger) == nil)
      #expect(try await queue.jobs.cancel(added[0].id, tenant: TestQueue.stranger) == .unknown)
      #expect(try await queue.jobs.find(added[0].id, tenant: TestQueue.tenant)?.station == .ready)
      #expect(try await queue.jobs.cancel(added[0].id, tenant: TestQueue.tenant) == .cancelled)
      #expect(try await queue.jobs.cancel(.v7(now: .now()), tenant: nil) == .unknown)
    }
  }

  @Test("Cancelled while it is fetched, a job is either stopped before or told after, never lost")
  func race() async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add((0..<200).map { "\($0)" })
      let worker = try await queue.enlist()
      async let fetched = {
        var jobs: [FetchedJob] = []
        for _ in 0..<40 { jobs += try await worker.fetch(5) }
        return jobs
      }()
      var answers: [UUID: JobCancellation] = [:]
      for job in added { answers[job.id] = try await queue.jobs.cancel(job.id, tenant: nil) }
      let running = Set(try await fetched.map(\.id))
      #expect(answers.values.allSatisfy { $0 == .cancelled || $0 == .requested })
      for job in added { #expect((answers[job.id] == .requested) == running.contains(job.id)) }
      #expect(try await queue.count("running", where: "cancel_requested") == Int64(running.count))
      #expect(try await queue.count("history") == Int64(200 - running.count))
    }
  }
}

/// The server's process that serves this session.
struct ServerProcess: Statement {
  static let name = "ServerProcess"
  static let sql = "SELECT pg_backend_pid()"
  static func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}
