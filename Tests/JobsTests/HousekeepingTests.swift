import Testing

@testable import Jobs
@testable import Postgres

@Suite("Keeping house")
struct HousekeepingTests {
  @Test("History has a partition for each day to come, made once, and loses those that are old")
  func partitions() async throws {
    try await TestQueue.with { queue in
      let partitions = """
        SELECT count(*) FROM pg_inherits WHERE inhparent = 'jobs_history'::regclass
        """
      // Today, seven to come, and the one for everything else.
      #expect(try await queue.superuser.value(partitions, Int64.self) == 9)
      func keep(_ days: Int32, _ keep: Duration) async throws -> (made: Int32, dropped: Int32) {
        try #require(
          try await queue.jobs.postgres.executeOne(KeepHistory(ahead: days, keep: keep), tenant: nil))
      }
      #expect(try await keep(7, .seconds(86_400)) == (0, 0))
      #expect(try await keep(9, .seconds(86_400)) == (2, 0))
      try await queue.superuser.run(
        sql:
          "CREATE TABLE jobs_history_20200101 PARTITION OF jobs_history FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
      )
      #expect(try await keep(9, .seconds(86_400)) == (0, 1))
      #expect(try await queue.superuser.value(partitions, Int64.self) == 11)
      // What ends now lies in today's.
      let worker = try await queue.enlist()
      try await queue.add(["a"])
      _ = try await worker.finish(try await worker.fetch())
      #expect(try await queue.count("history") == 1)
      #expect(try await queue.count("history_other") == 0)
    }
  }

  @Test("A day without a partition refuses nobody, and gets none once it has begun without")
  func missed() async throws {
    try await TestQueue.with { queue in
      let today = "jobs_history_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') || '"
      try await queue.superuser.run(
        sql: "DO $$ BEGIN EXECUTE 'DROP TABLE \(queue.schema).\(today)'; END $$")
      let worker = try await queue.enlist()
      try await queue.add(["a"])
      #expect(try await worker.finish(try await worker.fetch()) == [])
      #expect(try await queue.count("history_other") == 1)
      try await queue.jobs.keepHistory()
      #expect(try await queue.count("history_other") == 1)
      #expect(try await queue.count("history") == 1)
    }
  }

  @Test("What unique keys and resolved jobs leave behind goes too, and nothing that still counts")
  func leftovers() async throws {
    try await TestQueue.with { queue in
      for key in ["over", "open"] {
        var job = try NewJob(Note(text: key), tenant: nil)
        job.unique = .init(key)
        try await queue.jobs.add(job)
        if key == "over" { #expect(try await queue.jobs.cancel(job.id, tenant: nil) == .cancelled) }
      }
      try await queue.jobs.keepHistory()
      #expect(try await queue.count("unique") == 1)
      #expect(try await queue.count("unique", where: "unique_key = '/open'") == 1)
    }
  }

  @Test("A limit is forgotten when nobody declares it, no job is under it and nothing is used up")
  func limits() async throws {
    try await TestQueue.with { queue in
      let limit = Limit(running: 1, rate: .init(perSecond: 0.001, burst: 2))
      for key in ["idle", "declared"] {
        _ = try await queue.jobs.postgres.execute(DeclareLimit(keyed: KeyedLimit(key, limit)), tenant: nil)
      }
      try await queue.add(["a"]) { $0.limit = KeyedLimit("dead", limit) }
      try await queue.add(["b"]) { $0.limit = KeyedLimit("spent", limit) }
      let worker = try await queue.enlist()
      for job in try await worker.fetch() {
        if job.limitKey == "dead" {
          _ = try await worker.settle(job, .dead)
        } else {
          _ = try await worker.finish([job])
        }
      }
      for (index, station) in ["running", "blocked"].enumerated() {
        try await queue.add(["\(index)"]) { $0.limit = KeyedLimit("busy", limit) }
        _ = try await worker.fetch()
        #expect(try await queue.count(station, where: "limit_key = 'busy'") == 1)
      }
      try await queue.add(["c"]) { $0.limit = KeyedLimit("ready", limit) }
      try await queue.add(["d"]) {
        $0.limit = KeyedLimit("scheduled", limit)
        $0.start = .after(.seconds(60))
      }
      try await queue.superuser.run(sql: "UPDATE jobs_limits SET declared_at = now() - interval '3 days'")
      _ = try await queue.jobs.postgres.execute(
        DeclareLimit(keyed: KeyedLimit("declared", limit)), tenant: nil)
      // All but one have nothing used up.
      try await queue.superuser.run(
        sql: "UPDATE jobs_limits SET refilled_at = '-infinity' WHERE limit_key <> 'spent'")
      try await queue.jobs.keepHistory()
      let left = "SELECT string_agg(limit_key, ' ' ORDER BY limit_key) FROM jobs_limits"
      #expect(
        try await queue.superuser.value(left, String.self) == "busy dead declared ready scheduled spent")
    }
  }

  @Test("Counts are those of each queue and station, with the age of the oldest")
  func counts() async throws {
    try await TestQueue.with { queue in
      try await queue.add(["a", "b", "c"])
      try await queue.add(["d"]) { $0.queue = "other" }
      try await queue.add(["e", "f"]) { $0.start = .after(.seconds(60)) }
      let worker = try await queue.enlist()
      let jobs = try await worker.fetch(1)
      _ = try await worker.settle(jobs[0], .dead)
      _ = try await worker.fetch(1)
      try await queue.superuser.run(sql: "UPDATE jobs_ready SET ready_at = now() - interval '1 minute'")
      let counts = try await queue.jobs.counts()
      func count(_ queue: String, _ station: JobStation) -> Int64? {
        counts.first { $0.queue == queue && $0.station == station }?.jobs
      }
      #expect(count("test", .ready) == 1)
      #expect(count("other", .ready) == 1)
      #expect(count("test", .scheduled) == 2)
      #expect(count("test", .running) == 1)
      #expect(count("test", .dead) == 1)
      #expect(counts.first { $0.station == .ready }.map { 59...70 ~= $0.oldest / .seconds(1) } == true)
      #expect(counts.first { $0.station == .scheduled }?.oldest == .zero)
    }
  }

  @Test("Of a large table no more is read than asked for, and the count is about right")
  func estimate() async throws {
    try await TestQueue.with { queue in
      try await queue.superuser.run(
        sql: """
          INSERT INTO jobs_scheduled (job_id, queue, kind, priority, lane, max_attempts, payload, run_at)
          SELECT gen_random_uuid(), 'test', 'note', 2, 0, 3, '{}', now() + interval '1 day' FROM generate_series(1, 40000)
          """)
      let counts = try await queue.jobs.postgres.execute(CountJobs(mostPages: 100), tenant: nil)
      let scheduled = try #require(counts.compactMap { $0 }.first { $0.station == .scheduled })
      #expect(20_000...80_000 ~= scheduled.jobs)
    }
  }
}

@Suite("Staging")
struct StagingTests {
  @Test("Nothing before the floor is looked at, and the rest moves in the order of its time")
  func floor() async throws {
    try await TestQueue.with { queue in
      let now = PostgresTimestamp.now()
      func ago(_ seconds: Int64) -> PostgresTimestamp {
        PostgresTimestamp(microseconds: now.microseconds - seconds * 1_000_000)
      }
      for seconds in [30, 10, 20] as [Int64] {
        try await queue.add(["\(seconds)"]) { $0.start = .after(.seconds(3600)) }
        try await queue.superuser.run(
          sql: """
            UPDATE jobs_scheduled SET run_at = timestamptz 'epoch' + \(ago(seconds).microseconds) * interval '1 microsecond'
            WHERE payload->>'text' = '\(seconds)'
            """)
      }
      let stage = StageJobs(most: 1, since: ago(25))
      let first = try #require(try await queue.jobs.postgres.executeOne(stage, tenant: nil))
      #expect(first.moved == 1)
      #expect(first.reached == ago(20))
      #expect(first.nextIn.map { $0 < -9 } == true)
      let rest = try await queue.stage()
      #expect(rest.moved == 2)
      #expect(rest.nextIn == nil)
      let worker = try await queue.enlist()
      #expect(try await texts(worker.fetch().sorted { $0.seq < $1.seq }) == ["20", "30", "10"])
    }
  }

  @Test("Two that stage at once share the work")
  func together() async throws {
    try await TestQueue.with { queue in
      try await queue.add((0..<500).map { "\($0)" }) { $0.start = .at(PostgresTimestamp(microseconds: 0)) }
      let moved = try await withThrowingTaskGroup(of: Int32.self) { group in
        for _ in 0..<10 {
          group.addTask {
            let stage = StageJobs(most: 100, since: .negativeInfinity)
            return try await queue.jobs.postgres.transaction(tenant: nil) {
              try await $0.executeOne(stage)?.moved ?? 0
            }
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(moved == 500)
      #expect(try await queue.count("ready") == 500)
      #expect(try await queue.count("scheduled") == 0)
    }
  }
}
