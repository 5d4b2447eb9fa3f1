import Testing

@testable import Jobs
@testable import Postgres

@Suite("Leases and fencing")
struct LeaseTests {
  @Test("A worker is buried only if its beat stands still, and its jobs are run again")
  func bury() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a", "b"])
      let worker = try await queue.enlist()
      #expect(try await worker.fetch().count == 2)
      #expect(try await worker.beat() == [])
      #expect(try await worker.die(at: 0) == nil)
      #expect(try await queue.count("running") == 2)
      #expect(try await worker.die(at: 1) == 2)
      #expect(try await queue.count("running") == 0)
      #expect(try await queue.count("ready", where: "crashes = 1 AND failed = 0") == 2)
      #expect(try await worker.beat() == nil)
      #expect(try await worker.fetch().isEmpty)
      let other = try await queue.enlist()
      #expect(try await other.fetch().map(\.attempt) == [2, 2])
    }
  }

  @Test("Those who watch are told the lease of each worker, which is neither next to nothing nor endless")
  func leases() async throws {
    try await TestQueue.with { queue in
      let brief = try await queue.enlist(lease: .milliseconds(100))
      let long = try await queue.enlist(lease: .seconds(3600))
      let workers = try await queue.jobs.postgres.execute(WatchWorkers(), tenant: nil)
      #expect(
        Set(workers) == [
          WatchedWorker(worker: brief.id, beat: 0, lease: .milliseconds(100)),
          WatchedWorker(worker: long.id, beat: 0, lease: .seconds(3600)),
        ])
      for lease in [Duration.milliseconds(99), .seconds(3601)] {
        await #expect(throws: PostgresError.self) { try await queue.enlist(lease: lease) }
      }
    }
  }

  @Test("Whatever a buried worker says about its jobs is refused")
  func zombie() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a", "b", "c"])
      let zombie = try await queue.enlist()
      let jobs = try await zombie.fetch()
      #expect(try await zombie.die() == 3)
      let heir = try await queue.enlist()
      let again = try await heir.fetch()
      #expect(again.count == 3)
      #expect(try await Set(zombie.finish(jobs)) == Set(jobs.map(\.id)))
      #expect(try await zombie.settle(jobs[0], .dead) == [jobs[0].id])
      #expect(try await heir.finish(again) == [])
      #expect(try await queue.count("history", where: "attempt = 2 AND outcome = 'succeeded'") == 3)
      #expect(try await queue.count("history") == 3)
    }
  }

  @Test("One that froze in the transaction of an acknowledgement keeps nobody waiting, and nobody for long")
  func frozen() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a", "b"])
      let worker = try await queue.enlist()
      let jobs = try await worker.fetch()
      struct Undone: Error {}
      await #expect(throws: Undone.self) {
        try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
          let complete = CompleteJob(worker: worker.id, job: jobs[0].id, attempt: jobs[0].attempt)
          #expect(try await transaction.execute(complete) == [])
          #expect(try await transaction.executeOne(ShowIdleTimeout()) == "5s")
          #expect(try await worker.die() == nil)
          throw Undone()
        }
      }
      #expect(try await worker.die() == 2)
    }
  }

  private struct ShowIdleTimeout: Statement {
    static let name = "ShowIdleTimeout"
    static let sql = "SELECT current_setting('idle_in_transaction_session_timeout')"
    static func decode(_ row: inout RowReader) throws -> String { try row.next() }
  }

  @Test("An acknowledgement names the attempt: that of an earlier one is refused")
  func attempts() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a"])
      let worker = try await queue.enlist()
      let first = try await worker.fetch()[0]
      #expect(try await worker.settle(first, .snooze) == [])
      let second = try await worker.fetch()[0]
      #expect(second.id == first.id)
      #expect(try await worker.finish([first]) == [first.id])
      #expect(try await worker.finish([second]) == [])
    }
  }

  @Test("A worker that leaves gives its jobs back as they are")
  func leave() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a"])
      let worker = try await queue.enlist()
      _ = try await worker.fetch()
      #expect(try await worker.die(at: nil) == 1)
      #expect(try await queue.count("ready", where: "crashes = 0 AND failed = 0 AND failures IS NULL") == 1)
    }
  }

  @Test("Jobs whose worker died twice are run one at a time, and the third time are dead")
  func poison() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["poison", "bystander", "another"])
      for round in 1...2 {
        let worker = try await queue.enlist()
        #expect(try await worker.fetch().count == 3, "round \(round)")
        #expect(try await worker.die() == 3)
      }
      #expect(try await queue.count("ready", where: "lane = 64") == 3)
      try await queue.add(["fresh"])
      let worker = try await queue.enlist()
      let jobs = try await worker.fetch()
      #expect(jobs.map(\.lane).sorted() == [0, 64])
      #expect(try texts(jobs).sorted() == ["fresh", "poison"])
      #expect(try await worker.fetch(10, suspects: 0).isEmpty)
      let suspect = try #require(jobs.first { $0.isSuspect })
      #expect(try await worker.begin(suspect) == true)
      #expect(try await worker.die() == 2)
      #expect(
        try await queue.count("dead", where: "payload->>'text' = 'poison' AND error_code = 'WORKER_DIED'")
          == 1)
      let heir = try await queue.enlist()
      #expect(try await heir.fetch().count == 2)
      #expect(try await heir.fetch().count == 1)
    }
  }

  @Test("However often workers die that have fetched a job, it is not dead unless they had begun it")
  func innocent() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a"])
      for _ in 1...5 {
        let worker = try await queue.enlist()
        #expect(try await worker.fetch().count == 1)
        #expect(try await worker.die() == 1)
      }
      let isSuspect = "lane = 64 AND crashes = 2 AND attempt = 5 AND jsonb_array_length(failures) = 2"
      #expect(try await queue.count("ready", where: isSuspect) == 1)
      let zombie = try await queue.enlist()
      let late = try await zombie.fetch()[0]
      _ = try await zombie.die()
      let worker = try await queue.enlist()
      let job = try await worker.fetch()[0]
      #expect(try await zombie.begin(late) == false)
      #expect(try await worker.begin(late) == false)
      #expect(try await worker.begin(job) == true)
      // What was begun once is begun anew the next time.
      #expect(try await worker.settle(job, .snooze) == [])
      #expect(try await worker.fetch().count == 1)
      #expect(try await worker.die() == 1)
      #expect(try await queue.count("dead") == 0)
    }
  }

  @Test("A worker says of a suspect that it begins it, and runs it")
  func suspect() async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add(["a"])
      for _ in 1...2 {
        let worker = try await queue.enlist()
        #expect(try await worker.fetch().count == 1)
        #expect(try await worker.die() == 1)
      }
      let begun = Ledger<Int64>()
      let handler = JobHandler.on(Note.self) { _, _ in
        begun.write(try await queue.count("running", where: "is_begun"))
      }
      try await queue.working([handler]) {
        let status = try await queue.wait(for: added[0].id)
        #expect(status.station == .succeeded)
      }
      #expect(begun.entries == [1])
    }
  }

  @Test("What was fetched over a connection that broke is given back, and nothing else")
  func reclaim() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a", "b", "c"])
      let worker = try await queue.enlist()
      let jobs = try await worker.fetch()
      func reclaim(_ known: [UUID], since: Duration) async throws -> Int32? {
        let reclaim = ReclaimJobs(worker: worker.id, known: known, since: since)
        return try await queue.jobs.postgres.executeOne(reclaim, tenant: nil)
      }
      #expect(try await reclaim([], since: .seconds(60)) == 0)
      #expect(try await reclaim([jobs[0].id, jobs[2].id], since: .zero) == 1)
      #expect(try await worker.fetch().map(\.id) == [jobs[1].id])
      #expect(try await worker.finish([jobs[0], jobs[2]]) == [])
    }
  }

  @Test("Beats bring progress along, and hear of cancellations")
  func beats() async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add(["a", "b"])
      let worker = try await queue.enlist()
      _ = try await worker.fetch()
      #expect(try await worker.beat([(added[0].id, 0.5), (added[1].id, 0.25)]) == [])
      #expect(try await queue.jobs.find(added[0].id, tenant: nil)?.progress == 0.5)
      #expect(try await queue.jobs.cancel(added[1].id, tenant: nil) == .requested)
      #expect(try await worker.beat() == [added[1].id])
      // Another worker's jobs are none of its business.
      let stranger = try await queue.enlist()
      #expect(try await stranger.beat([(added[0].id, 0.75)]) == [])
      #expect(try await queue.jobs.find(added[0].id, tenant: nil)?.progress == 0.5)
    }
  }
}
