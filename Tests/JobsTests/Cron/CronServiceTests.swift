import Foundation
import Testing

@testable import Jobs
@testable import Postgres
@testable import TimeZones

@Suite("Cron jobs")
struct CronServiceTests {
  struct Tick: JobKind {
    static let name = "tick"
    static let queue = "test"
    var at: Int64
  }

  private static func service(
    _ queue: TestQueue, _ expression: String = "30 2 * * *", missed: CronJob.Missed
  ) throws -> CronService {
    let cron = try CronJob("nightly", expression, in: "America/New_York", missed: missed) {
      try NewJob(Tick(at: $0.seconds), tenant: nil)
    }
    return try CronService(jobs: queue.jobs, crons: [cron], timeZones: TimeZones(), logger: .quiet)
  }

  private static func ticks(_ queue: TestQueue) async throws -> [String] {
    try await queue.superuser.value(
      """
      SELECT coalesce(array_agg(tick ORDER BY tick), '{}')
      FROM (SELECT to_char(to_timestamp((payload->>'at')::bigint) AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS tick
            FROM jobs_ready) AS ticks
      """) ?? []
  }

  @Test(
    "Of three instances one adds the job of each time, over changes of the clocks in both directions",
    arguments: [
      (
        "30 2 * * *", "2026-03-06 12:00Z", "2026-03-09 06:45Z", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]
      ),
      (
        "30 2 * * *", "2025-10-31 12:00Z", "2025-11-03 08:00Z", ["11-01 06:30", "11-02 07:30", "11-03 07:30"]
      ),
      // Every hour: there is none between half past one and half past three, and half past one comes twice.
      ("30 * * * *", "2026-03-08 06:00Z", "2026-03-08 08:00Z", ["03-08 06:30", "03-08 07:30"]),
      (
        "30 * * * *", "2025-11-02 05:00Z", "2025-11-02 08:00Z", ["11-02 05:30", "11-02 06:30", "11-02 07:30"]
      ),
    ])
  func instances(text: String, start: String, end: String, expected: [String]) async throws {
    try await TestQueue.with { queue in
      let services = try (0..<3).map { _ in try Self.service(queue, text, missed: .all(most: 100)) }
      for service in services { try await service.declare() }
      // As if all had slept from the start to the end. The time comes from the database, so the test looks at the entry as
      // it is at each time, and moves it there.
      let rules = try TimeZones().rules("America/New_York")
      let expression = try CronExpression(text)
      func seconds(_ text: String) throws -> Int64 {
        Int64(
          try Date(text.replacing(" ", with: "T").replacing("Z", with: ":00Z"), strategy: .iso8601)
            .timeIntervalSince1970)
      }
      var time = try #require(expression.next(after: try seconds(start), in: rules))
      while time <= (try seconds(end)) {
        let entry = CronEntry(
          name: "nightly", expression: text, timezone: "America/New_York",
          next: PostgresTimestamp(microseconds: time * 1_000_000),
          now: PostgresTimestamp(microseconds: time * 1_000_000 + 500_000))
        try await queue.superuser.run(
          sql: "UPDATE \(queue.schema).jobs_crons SET next_at = to_timestamp(\(time))")
        try await withThrowingTaskGroup { group in
          for service in services { group.addTask { try await service.tick(entry) } }
          try await group.waitForAll()
        }
        time = try #require(expression.next(after: time, in: rules))
      }
      #expect(try await Self.ticks(queue) == expected)
    }
  }

  @Test("Three instances that find times they all have missed make up for each once")
  func missed() async throws {
    try await TestQueue.with { queue in
      let services = try (0..<3).map { _ in try Self.service(queue, missed: .all(most: 5)) }
      for service in services { try await service.declare() }
      try await queue.superuser.run(
        sql: "UPDATE \(queue.schema).jobs_crons SET next_at = '2026-03-06 07:30Z'")
      try await withThrowingTaskGroup { group in
        for service in services { group.addTask { _ = try await service.look() } }
        try await group.waitForAll()
      }
      let ticks = try await Self.ticks(queue)
      #expect(ticks.count == 5)
      #expect(Set(ticks).count == 5)
    }
  }

  @Test("A changed expression starts anew, and an older release leaves it alone")
  func changed() async throws {
    try await TestQueue.with { queue in
      let old = try Self.service(queue, missed: .once)
      try await old.declare()
      let new = try Self.service(queue, "0 3 * * *", missed: .once)
      try await new.declare()
      try await queue.superuser.run(
        sql: "UPDATE \(queue.schema).jobs_crons SET next_at = now() - interval '1 hour'")
      _ = try await old.look()
      #expect(try await Self.ticks(queue).isEmpty)
      _ = try await new.look()
      #expect(try await Self.ticks(queue).count == 1)
      try await new.declare()
      _ = try await new.look()
      #expect(try await Self.ticks(queue).count == 1)
    }
  }

  @Test("A zone nobody knows and a name given twice are refused at the start")
  func refused() async throws {
    try await TestQueue.with { queue in
      let nowhere = try CronJob("a", "@daily", in: "Mars/Olympus") {
        try NewJob(Tick(at: $0.seconds), tenant: nil)
      }
      #expect(throws: TimeZones.Unknown.self) {
        try CronService(jobs: queue.jobs, crons: [nowhere], timeZones: TimeZones(), logger: .quiet)
      }
      let cron = try CronJob("a", "@daily") { try NewJob(Tick(at: $0.seconds), tenant: nil) }
      #expect(throws: CronError("two cron jobs are called a")) {
        try CronService(jobs: queue.jobs, crons: [cron, cron], timeZones: TimeZones(), logger: .quiet)
      }
    }
  }
}
