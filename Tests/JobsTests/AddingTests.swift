import Testing

@testable import Jobs
@testable import Postgres

@Suite("Adding jobs")
struct AddingTests {
  @Test("Any number of jobs is added at once, each as it is", arguments: [0, 1, 100, 2000, 2001, 5000])
  func bulk(count: Int) async throws {
    try await TestQueue.with { queue in
      var new = try (0..<count).map { try NewJob(Note(text: "\($0)"), tenant: TestQueue.tenant) }
      for index in new.indices where index % 3 == 0 { new[index].start = .after(.seconds(3600)) }
      for index in new.indices where index % 3 == 1 { new[index].priority = .high }
      try await queue.jobs.addAll(new)
      let scheduled = new.count { $0.start != .now }
      #expect(
        try await queue.count("scheduled", where: "run_at > now() + interval '59 minutes'")
          == Int64(scheduled))
      #expect(try await queue.count("ready") == Int64(count - scheduled))
      #expect(
        try await queue.count("ready", where: "priority = 1 AND (payload->>'text')::int % 3 = 1")
          == Int64(new.count { $0.priority == .high }))
      #expect(
        try await queue.count("ready", where: "tenant_id = '\(TestQueue.tenant)' AND max_attempts = 3")
          == Int64(count - scheduled))
    }
  }

  @Test("Many are added with a transaction, or not at all")
  func bulkInTransaction() async throws {
    struct Refusal: Error {}
    try await TestQueue.with { queue in
      let new = try (0..<3000).map { try NewJob(Note(text: "\($0)"), tenant: nil) }
      await #expect(throws: Refusal.self) {
        try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
          try await queue.jobs.addAll(new, in: transaction)
          throw Refusal()
        }
      }
      #expect(try await queue.count("ready") == 0)
      try await queue.jobs.postgres.transaction(tenant: nil) { try await queue.jobs.addAll(new, in: $0) }
      #expect(try await queue.count("ready") == 3000)
    }
  }

  @Test("A job is not run before its time")
  func delay() async throws {
    try await TestQueue.with { queue in
      let past = PostgresTimestamp(microseconds: PostgresTimestamp.now().microseconds - 1_000_000)
      try await queue.add(["soon"]) { $0.start = .after(.seconds(60)) }
      try await queue.add(["past"]) { $0.start = .at(past) }
      let worker = try await queue.enlist()
      #expect(try await worker.fetch().isEmpty)
      let staged = try await queue.stage()
      #expect(staged.queues == ["test"])
      #expect(staged.moved == 1)
      #expect(staged.nextIn.map { 50...60 ~= $0 } == true)
      #expect(try await texts(worker.fetch()) == ["past"])
    }
  }

  @Test("A delayed job is run when it is due, by whoever is awake")
  func delayed() async throws {
    try await TestQueue.with { queue in
      try await queue.working([.on(Note.self) { _, _ in }]) {
        var job = try NewJob(Note(text: "soon"), tenant: nil)
        job.start = .after(.milliseconds(30))
        try await queue.jobs.add(job)
        #expect(try await queue.wait(for: job.id).station == .succeeded)
      }
    }
  }

  @Test("A time that is past is now, so that nobody has to look for it", arguments: [1, 2001])
  func past(count: Int) async throws {
    try await TestQueue.with { queue in
      let past = PostgresTimestamp(microseconds: PostgresTimestamp.now().microseconds - 3_600_000_000)
      let before = try await queue.superuser.value("SELECT clock_timestamp()", PostgresTimestamp.self)
      try await queue.add((0..<count).map { "\($0)" }) { $0.start = .at(past) }
      var unique = try NewJob(Note(text: "unique"), tenant: nil)
      unique.start = .at(past)
      unique.unique = .init("k")
      try await queue.jobs.add(unique)
      // As a stager looks that has seen everything up to then.
      let stage = StageJobs(most: 5000, since: try #require(before))
      #expect(try await queue.jobs.postgres.executeOne(stage, tenant: nil)?.moved == Int32(count + 1))
    }
  }

  @Test("What is more urgent goes first")
  func priorities() async throws {
    try await TestQueue.with { queue in
      for priority in JobPriority.allCases.reversed() {
        try await queue.add(["\(priority) 1", "\(priority) 2"]) { $0.priority = priority }
      }
      let worker = try await queue.enlist()
      for priority in JobPriority.allCases {
        #expect(try await texts(worker.fetch(2)).sorted() == ["\(priority) 1", "\(priority) 2"])
      }
    }
  }

  @Test("A job that is too large, or whose names are, is refused and nothing is kept")
  func constraints() async throws {
    try await TestQueue.with { queue in
      // Random enough not to be compressed away.
      var random = SystemRandomNumberGenerator()
      let large = (0..<20_000).map { _ in "\(random.next())" }.joined()
      let error = await #expect(throws: PostgresError.self) { try await queue.add(["fine", large]) }
      #expect(error?.constraint == "jobs_template_payload_check")
      let kept = try await queue.count("ready")
      #expect(kept == 0)
    }
  }
}

@Suite("Unique jobs")
struct UniqueTests {
  private static func job(_ unique: NewJob.Unique, tenant: UUID? = nil) throws -> NewJob {
    var job = try NewJob(Note(text: "x"), tenant: tenant)
    job.unique = unique
    return job
  }

  @Test("Of many that are added at once with the same key there is one")
  func concurrent() async throws {
    try await TestQueue.with { queue in
      let added = try await withThrowingTaskGroup(of: AddedJob.self) { group in
        for index in 0..<20 {
          group.addTask {
            if index % 2 == 0 { return try await queue.jobs.add(Self.job(.init("k"))) }
            return try await queue.jobs.postgres.transaction(tenant: nil) {
              try await queue.jobs.add(Self.job(.init("k")), in: $0)
            }
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(added.count { $0.isNew } == 1)
      #expect(Set(added.map(\.id)).count == 1)
      #expect(try await queue.count("ready") == 1)
    }
  }

  @Test("Tenants have keys to themselves, and so have kinds")
  func scopes() async throws {
    struct Other: JobKind {
      static let name = "other"
      static let queue = "test"
    }
    try await TestQueue.with { queue in
      #expect(try await queue.jobs.add(Self.job(.init("k"), tenant: TestQueue.tenant)).isNew)
      #expect(try await queue.jobs.add(Self.job(.init("k"), tenant: TestQueue.stranger)).isNew)
      #expect(try await queue.jobs.add(Self.job(.init("k"), tenant: nil)).isNew)
      #expect(try await !queue.jobs.add(Self.job(.init("k"), tenant: TestQueue.tenant)).isNew)
      var other = try NewJob(Other(), tenant: nil)
      other.unique = .init("k")
      #expect(try await queue.jobs.add(other).isNew)
    }
  }

  @Test(
    "The key is free again when the job has ended, however it did",
    arguments: ["finish", "dead", "cancel", "waiting"])
  func ends(how: String) async throws {
    try await TestQueue.with { queue in
      let first = try await queue.jobs.add(Self.job(.init("k")))
      let worker = try await queue.enlist()
      if how == "waiting" {
        #expect(try await queue.jobs.cancel(first.id, tenant: nil) == .cancelled)
      } else {
        let job = try #require(try await worker.fetch().first)
        #expect(try await queue.jobs.add(Self.job(.init("k"))) == AddedJob(id: first.id, isNew: false))
        switch how {
        case "finish": #expect(try await worker.finish([job]) == [])
        case "dead": #expect(try await worker.settle(job, .dead) == [])
        default: #expect(try await worker.settle(job, .cancel) == [])
        }
      }
      #expect(try await queue.jobs.add(Self.job(.init("k"))).isNew)
    }
  }

  @Test("The key is held while the job is tried again")
  func retried() async throws {
    try await TestQueue.with { queue in
      let first = try await queue.jobs.add(Self.job(.init("k")))
      let worker = try await queue.enlist()
      let job = try await worker.fetch()[0]
      #expect(try await worker.settle(job, .retry, delay: .seconds(60)) == [])
      #expect(try await queue.jobs.add(Self.job(.init("k"))).id == first.id)
    }
  }

  @Test("A key held until the start lets one more wait while the job runs")
  func untilStart() async throws {
    try await TestQueue.with { queue in
      #expect(try await queue.jobs.add(Self.job(.init("k", untilStart: true))).isNew)
      #expect(try await !queue.jobs.add(Self.job(.init("k", untilStart: true))).isNew)
      let worker = try await queue.enlist()
      let running = try await worker.fetch()
      let second = try await queue.jobs.add(Self.job(.init("k", untilStart: true)))
      #expect(second.isNew)
      // The first one's end is no longer about the key.
      #expect(try await worker.finish(running) == [])
      #expect(try await queue.jobs.add(Self.job(.init("k", untilStart: true))).id == second.id)
    }
  }

  @Test("Within its window a key is not given away, even when the job has ended")
  func window() async throws {
    try await TestQueue.with { queue in
      let first = try await queue.jobs.add(Self.job(.init("k", window: .seconds(3600))))
      let worker = try await queue.enlist()
      _ = try await worker.finish(try await worker.fetch())
      #expect(try await queue.jobs.add(Self.job(.init("k", window: .seconds(3600)))).id == first.id)
      try await queue.superuser.run(sql: "UPDATE jobs_unique SET held_until = now() - interval '1 second'")
      #expect(try await queue.jobs.add(Self.job(.init("k", window: .seconds(3600)))).isNew)
    }
  }

  @Test("In bulk they are refused")
  func bulk() async throws {
    try await TestQueue.with { queue in
      _ = await #expect(throws: JobsError.uniqueInBulk) {
        try await queue.jobs.addAll([Self.job(.init("k"))])
      }
    }
  }
}
