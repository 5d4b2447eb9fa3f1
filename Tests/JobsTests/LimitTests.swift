import Synchronization
import Testing

@testable import Jobs
@testable import Postgres

/// How many are inside at once, and the most there ever were.
final class Crowd: Sendable {
  private let state = Mutex((now: 0, most: 0))
  var most: Int { state.withLock { $0.most } }

  func pass(_ body: () async throws -> Void) async rethrows {
    state.withLock { state in
      state.now += 1
      state.most = max(state.most, state.now)
    }
    defer { state.withLock { $0.now -= 1 } }
    try await body()
  }
}

@Suite("Limits")
struct LimitTests {
  @Test("Jobs with the same key never run more at once than allowed, whatever queue and worker runs them")
  func running() async throws {
    try await TestQueue.with { queue in
      let limit = KeyedLimit("printer", Limit(running: 2))
      let crowd = Crowd()
      let done = Ledger<Int>()
      let handler = JobHandler.on(Note.self) { _, context in
        if context.tenant == nil {
          await crowd.pass { for _ in 0..<20 { await Task.yield() } }
        }
        done.write(1)
      }
      for name in ["test", "more"] {
        try await queue.add((0..<40).map { "\($0)" }) {
          $0.limit = limit; $0.queue = name
        }
        try await queue.add((0..<20).map { "\($0)" }, tenant: TestQueue.tenant) { $0.queue = name }
      }
      let queues = ["test": QueueSettings(concurrency: 8), "more": QueueSettings(concurrency: 8)]
      try await queue.working([handler], queues: queues) {
        try await queue.working([handler], queues: queues) {
          try await done.wait(for: 120)
        }
      }
      #expect(crowd.most <= 2)
      #expect(crowd.most > 0)
      #expect(try await queue.count("blocked") == 0)
      #expect(try await queue.count("history", where: "outcome = 'succeeded'") == 120)
    }
  }

  @Test(
    "Jobs over the limit of their key are put aside, and let in again when one has ended, the oldest first")
  func blocked() async throws {
    try await TestQueue.with { queue in
      var age: Int64 = 0
      let added = try await queue.add(["a", "b", "c"]) { job in
        job.id = .v7(now: PostgresTimestamp(microseconds: age))
        job.limit = KeyedLimit("k", Limit(running: 1))
        age += 1000
      }
      try await queue.add(["free"])
      let worker = try await queue.enlist()
      let rows = try await worker.fetchRows()
      let blocked = rows.compactMap { if case .blocked(let job) = $0 { job.id } else { nil } }
      #expect(Set(blocked) == [added[1].id, added[2].id])
      let running = rows.compactMap { if case .job(let job) = $0 { job } else { nil } }
      #expect(try Set(texts(running)) == ["a", "free"])
      #expect(try await queue.jobs.find(added[1].id, tenant: nil)?.station == .blocked)
      // No room yet.
      func unblock() async throws -> [String] {
        let unblock = UnblockJobs(keys: ["k"], counts: [1])
        return try #require(try await queue.jobs.postgres.executeOne(unblock, tenant: nil)).queues
      }
      #expect(try await unblock() == [])
      #expect(try await worker.finish(running) == [])
      #expect(try await unblock() == ["test"])
      #expect(try await texts(worker.fetch()) == ["b"])
      #expect(try await queue.jobs.cancel(added[2].id, tenant: nil) == .cancelled)
    }
  }

  @Test("A rate lets through its burst, and then as many as time brings")
  func rate() async throws {
    try await TestQueue.with { queue in
      let rate = Limit(rate: .init(perSecond: 0.001, burst: 3))
      try await queue.add((0..<10).map { "\($0)" }) { $0.limit = KeyedLimit("sms", rate) }
      let worker = try await queue.enlist()
      #expect(try await worker.fetch().count == 3)
      #expect(try await queue.count("blocked") == 7)
      let unblock = UnblockJobsAfter(after: "", most: 10)
      let (none, _) = try #require(try await queue.jobs.postgres.executeOne(unblock, tenant: nil))
      #expect(none.queues == [])
      #expect(none.nextIn.map { 900...1000 ~= $0 } == true)
      // Two thousand seconds later.
      try await queue.superuser.run(
        sql: "UPDATE jobs_limits SET refilled_at = refilled_at - interval '2000 s'")
      let (some, _) = try #require(try await queue.jobs.postgres.executeOne(unblock, tenant: nil))
      #expect(some.queues == ["test"])
      #expect(try await worker.fetch().count == 2)
    }
  }

  @Test("A clock that was set back costs no tokens, and holds nobody up")
  func clockSetBack() async throws {
    try await TestQueue.with { queue in
      let rate = Limit(rate: .init(perSecond: 1000, burst: 1))
      try await queue.add(["a", "b"]) { $0.limit = KeyedLimit("sms", rate) }
      let worker = try await queue.enlist()
      #expect(try await worker.fetch().count == 1)
      try await queue.superuser.run(
        sql: "UPDATE jobs_limits SET refilled_at = now() + interval '1 hour', tokens = 0")
      let unblock = UnblockJobsAfter(after: "", most: 10)
      var queues: [String] = []
      while queues.isEmpty {
        queues = try await queue.jobs.postgres.executeOne(unblock, tenant: nil)?.unblocked.queues ?? []
      }
      #expect(try await worker.fetch().count == 1)
    }
  }

  @Test("A queue has limits of its own, across workers")
  func queueLimit() async throws {
    try await TestQueue.with { queue in
      let crowd = Crowd()
      let done = Ledger<Int>()
      let handler = JobHandler.on(Note.self) { _, _ in
        await crowd.pass { for _ in 0..<20 { await Task.yield() } }
        done.write(1)
      }
      try await queue.add((0..<60).map { "\($0)" })
      let queues = ["test": QueueSettings(concurrency: 8, limit: Limit(running: 3))]
      try await queue.working([handler], queues: queues) {
        try await queue.working([handler], queues: queues) { try await done.wait(for: 60) }
      }
      #expect(crowd.most <= 3)
    }
  }

  @Test("A queue's rate counts the jobs that were taken, not those that were asked for")
  func queueRate() async throws {
    try await TestQueue.with { queue in
      try await queue.jobs.limit("test", Limit(rate: .init(perSecond: 0.001, burst: 5)))
      let worker = try await queue.enlist()
      for _ in 0..<10 { #expect(try await worker.fetch(10).isEmpty) }
      try await queue.add((0..<10).map { "\($0)" })
      #expect(try await worker.fetch(2).count == 2)
      let rows = try await worker.fetchRows(10)
      let heldBack = rows.compactMap { if case .heldBack(let after) = $0 { after } else { nil } }
      #expect(heldBack.first.map { .seconds(900) ... .seconds(1000) ~= $0 } == true)
      #expect(rows.count == 4)
    }
  }

  @Test("Jobs over the limit of their key cost nothing of what their queue may start")
  func blockedCostNothing() async throws {
    try await TestQueue.with { queue in
      try await queue.jobs.limit("test", Limit(rate: .init(perSecond: 0.001, burst: 3)))
      try await queue.add(["a", "b", "c", "d"]) {
        $0.priority = .urgent
        $0.limit = KeyedLimit("k", Limit(running: 1))
      }
      try await queue.add(["free 1", "free 2", "free 3"])
      let worker = try await queue.enlist()
      var fetcher = Fetcher(queue: "test", poll: .seconds(1), now: .now)
      var seen: [String] = []
      while true {
        let answer = try await fetcher.send(
          Acknowledgements(), fetch: 10, mayTakeSuspect: true, as: worker.id, on: queue.jobs.postgres)
        let fetched = try #require(answer.fetched)
        seen += try texts(fetched.jobs)
        if fetched.heldBack != nil { break }
        #expect(fetched.mayHaveMore)
      }
      #expect(seen.count == 3)
      #expect(seen.count { $0.hasPrefix("free") } == 2)
      #expect(try await queue.count("blocked") == 3)
    }
  }

  @Test("A limit is declared again before the database forgets it")
  func known() {
    let limits = KnownLimits()
    let keyed = KeyedLimit("k", Limit(running: 1))
    let now = ContinuousClock.now
    #expect(!limits.isKnown(keyed, now))
    limits.learn(keyed, now)
    #expect(limits.isKnown(keyed, now + .seconds(3600)))
    #expect(!limits.isKnown(KeyedLimit("k", Limit(running: 2)), now))
    #expect(!limits.isKnown(keyed, now + .seconds(6 * 3600)))
  }

  @Test("A paused queue begins no jobs until it is resumed")
  func pause() async throws {
    try await TestQueue.with { queue in
      try await queue.jobs.pause("test")
      try await queue.add(["a"])
      let worker = try await queue.enlist()
      #expect(try await worker.fetch().isEmpty)
      try await queue.jobs.resume("test")
      #expect(try await worker.fetch().count == 1)
    }
  }
}

@Suite("Fairness")
struct FairnessTests {
  @Test("A tenant with one job does not wait for another's thousands")
  func tenants() async throws {
    try await TestQueue.with { queue in
      let ledger = Ledger<String>()
      let gate = Gate()
      let handler = JobHandler.on(Note.self) { note, _ in
        await gate.pass()
        ledger.write(note.text)
      }
      try await queue.add((0..<2000).map { _ in "flood" }, tenant: TestQueue.tenant)
      try await queue.add(["one", "two"], tenant: TestQueue.stranger)
      try await queue.working([handler]) {
        gate.open()
        try await ledger.wait(for: 2002)
      }
      let place = try #require(ledger.entries.firstIndex(of: "two"))
      #expect(place < 1000)
    }
  }

  @Test("Every tenant gets its turn, however few jobs are taken at once")
  func turns() async throws {
    try await TestQueue.with { queue in
      let tenants = (0..<5).map { UUID(high: 7, low: UInt64($0) * 0x1357_9BDF_0246_8ACE) }
      for tenant in tenants { try await queue.add((0..<20).map { _ in "\(tenant)" }, tenant: tenant) }
      let worker = try await queue.enlist()
      var fetcher = Fetcher(queue: "test", poll: .seconds(1), now: .now)
      var seen: [String] = []
      for _ in 0..<10 {
        let answer = try await fetcher.send(
          Acknowledgements(), fetch: 3, mayTakeSuspect: true, as: worker.id, on: queue.jobs.postgres)
        seen += try texts(answer.fetched?.jobs ?? [])
      }
      // Thirty jobs of five tenants: six each, give or take what lay about from one round to the next.
      let lanes = Dictionary(grouping: tenants) { try? NewJob(Note(text: ""), tenant: $0).lane }.count
      #expect(lanes == 5)
      for tenant in tenants { #expect(seen.count { $0 == "\(tenant)" } >= 4) }
    }
  }

  @Test(
    "Every tenant gets its turn in a queue that lets few start",
    arguments: [Limit(running: 1), Limit(rate: .init(perSecond: 1_000_000, burst: 1))])
  func turnsUnderLimit(limit: Limit) async throws {
    try await TestQueue.with { queue in
      try await queue.jobs.limit("test", limit)
      let tenants = (0..<5).map { UUID(high: 7, low: UInt64($0) * 0x1357_9BDF_0246_8ACE) }
      for tenant in tenants { try await queue.add((0..<20).map { _ in "\(tenant)" }, tenant: tenant) }
      let worker = try await queue.enlist()
      var fetcher = Fetcher(queue: "test", poll: .seconds(1), now: .now)
      var seen: [String] = []
      for _ in 0..<10 {
        let answer = try await fetcher.send(
          Acknowledgements(), fetch: 8, mayTakeSuspect: true, as: worker.id, on: queue.jobs.postgres)
        let jobs = answer.fetched?.jobs ?? []
        seen += try texts(jobs)
        #expect(try await worker.finish(jobs) == [])
      }
      for tenant in tenants { #expect(seen.count { $0 == "\(tenant)" } == 2) }
    }
  }
}
