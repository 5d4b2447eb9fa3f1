import Synchronization
import Testing

@testable import Jobs
@testable import Postgres

@Suite("Dead letters")
struct DeadLetterTests {
  /// A handler that fails with a code until it is told to stop.
  final class Outage: Sendable {
    private let code = Mutex<String?>("PROVIDER_DOWN")

    func end() { code.withLock { $0 = nil } }
    var handler: JobHandler {
      .on(Note.self) { _, _ in
        if let code = self.code.withLock({ $0 }) { throw JobError.permanent(code: code, message: "no") }
      }
    }
  }

  private static let dead = "redriven_at IS NULL AND resolved_at IS NULL"

  private static func wait(for count: Int64, _ table: String, _ condition: String, _ queue: TestQueue)
    async throws
  {
    while try await queue.count(table, where: condition) < count {
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  @Test("Ten thousand that are redriven by a filter all run again, and are resolved")
  func redrive() async throws {
    try await TestQueue.with { queue in
      let outage = Outage()
      let settings = ["test": QueueSettings(concurrency: 200)]
      try await queue.working([outage.handler], queues: settings) {
        try await queue.jobs.addAll(
          try (0..<10_000).map { try NewJob(Note(text: "\($0)"), tenant: TestQueue.tenant) })
        try await queue.jobs.addAll([try NewJob(Note(text: "stranger"), tenant: TestQueue.stranger)])
        try await Self.wait(for: 10_001, "dead", Self.dead, queue)
        let groups = try await queue.jobs.deadGroups()
        #expect(groups.map(\.jobs) == [10_001])
        #expect(groups.first?.errorCode == "PROVIDER_DOWN")

        outage.end()
        var filter = DeadJobFilter()
        filter.kind = Note.name
        filter.errorCode = "PROVIDER_DOWN"
        filter.tenant = TestQueue.tenant
        #expect(try await queue.jobs.redrive(filter) == 10_000)
        try await Self.wait(for: 10_000, "dead", "resolved_at IS NOT NULL", queue)
        #expect(try await queue.count("history", where: "outcome = 'succeeded'") == 10_000)
        #expect(try await queue.jobs.dead().map(\.tenant) == [TestQueue.stranger])
        #expect(try await queue.jobs.redrive(filter) == 0)
      }
    }
  }

  @Test("One that fails again is dead again, with what has happened since")
  func again() async throws {
    try await TestQueue.with { queue in
      try await queue.working([Outage().handler]) {
        let added = try await queue.jobs.add(Note(text: "once more"), tenant: nil)
        _ = try await queue.wait(for: added.id)
        var filter = DeadJobFilter()
        filter.ids = [added.id]
        #expect(try await queue.jobs.redrive(filter) == 1)
        try await Self.wait(for: 1, "dead", "redrives = 1 AND \(Self.dead)", queue)
        let dead = try #require(try await queue.jobs.dead(filter).first)
        #expect(dead.attempts == 2)
        #expect(dead.redrives == 1)
        #expect(dead.failures.map(\.attempt) == [1, 2])
        #expect(dead.failures.map(\.code) == ["PROVIDER_DOWN", "PROVIDER_DOWN"])
        #expect(dead.failures[0].at <= dead.failures[1].at)
      }
    }
  }

  @Test("What dies again while others are still redriven is left for the next time")
  func stillBroken() async throws {
    try await TestQueue.with { queue in
      let settings = ["test": QueueSettings(concurrency: 50)]
      try await queue.working([Outage().handler], queues: settings) {
        try await queue.jobs.addAll(try (0..<3000).map { try NewJob(Note(text: "\($0)"), tenant: nil) })
        try await Self.wait(for: 3000, "dead", Self.dead, queue)
        #expect(try await queue.jobs.redrive(DeadJobFilter()) == 3000)
        try await Self.wait(for: 3000, "dead", Self.dead, queue)
        #expect(try await queue.count("dead", where: "redrives = 1") == 3000)
      }
    }
  }

  @Test("A payload can be mended, by those whose job it is")
  func edit() async throws {
    try await TestQueue.with { queue in
      let ledger = Ledger<String>()
      let handler = JobHandler.on(Note.self) { note, _ in
        guard note.text == "right" else { throw JobError.permanent(code: "WRONG", message: note.text) }
        ledger.write(note.text)
      }
      try await queue.working([handler]) {
        let added = try await queue.jobs.add(Note(text: "wrong"), tenant: TestQueue.tenant)
        _ = try await queue.wait(for: added.id)
        let mended = #"{"text": "right"}"#
        #expect(try await !queue.jobs.edit(added.id, tenant: TestQueue.stranger, payload: mended))
        #expect(try await queue.jobs.edit(added.id, tenant: TestQueue.tenant, payload: mended))
        var filter = DeadJobFilter()
        filter.ids = [added.id]
        #expect(try await queue.jobs.redrive(filter) == 1)
        try await Self.wait(for: 1, "dead", "resolved_at IS NOT NULL", queue)
        #expect(ledger.entries == ["right"])
        #expect(try await !queue.jobs.edit(added.id, tenant: nil, payload: mended))
      }
    }
  }

  @Test("One whose unique key another job has stays dead until that has ended")
  func unique() async throws {
    try await TestQueue.with { queue in
      let outage = Outage()
      @Sendable func note() throws -> NewJob {
        var job = try NewJob(Note(text: "only"), tenant: nil)
        job.unique = NewJob.Unique("only")
        return job
      }
      try await queue.working([outage.handler]) {
        let first = try await queue.jobs.add(note())
        _ = try await queue.wait(for: first.id)
        try await queue.jobs.pause("test")
        var second = try note()
        second.start = .after(.seconds(3600))
        let added = try await queue.jobs.add(second)
        #expect(added.isNew)
        #expect(try await queue.jobs.redrive(DeadJobFilter()) == 0)
        _ = try await queue.jobs.cancel(added.id, tenant: nil)
        #expect(try await queue.jobs.redrive(DeadJobFilter()) == 1)
        // It has the key again.
        #expect(try await !queue.jobs.add(note()).isNew)
      }
    }
  }

  @Test("Pages follow each other, and what is deleted is gone")
  func pages() async throws {
    try await TestQueue.with { queue in
      try await queue.working([Outage().handler]) {
        try await queue.jobs.addAll(try (0..<25).map { try NewJob(Note(text: "\($0)"), tenant: nil) })
        try await Self.wait(for: 25, "dead", Self.dead, queue)
        var seen: Set<UUID> = []
        var page = try await queue.jobs.dead(most: 10)
        while let last = page.last {
          seen.formUnion(page.map(\.id))
          page = try await queue.jobs.dead(after: last.place, most: 10)
        }
        #expect(seen.count == 25)
        #expect(try await queue.jobs.deleteDead(DeadJobFilter(), most: 5) == 5)
        #expect(try await queue.jobs.deleteDead(DeadJobFilter()) == 20)
        #expect(try await queue.jobs.deadGroups().isEmpty)
      }
    }
  }
}
