import Testing

@testable import Jobs
@testable import Postgres

@Suite("Running jobs")
struct RunningTests {
  @Test("A job that is added is run, and acknowledged")
  func succeeds() async throws {
    try await TestQueue.with { queue in
      let ledger = Ledger<Note>()
      try await queue.working([.on(Note.self) { note, _ in _ = ledger.write(note) }]) {
        let added = try await queue.jobs.add(Note(text: "hello"), tenant: TestQueue.tenant)
        let status = try await queue.wait(for: added.id)
        #expect(status.station == .succeeded)
        #expect(status.attempt == 1)
        #expect(status.tenant == TestQueue.tenant)
        #expect(ledger.entries == [Note(text: "hello")])
      }
      #expect(try await queue.count("running") == 0)
      #expect(try await queue.count("workers") == 0)
    }
  }

  @Test("A job is added with the transaction that adds it, or not at all")
  func outbox() async throws {
    struct Refusal: Error {}
    try await TestQueue.with { queue in
      let ledger = Ledger<String>()
      try await queue.working([.on(Note.self) { note, _ in _ = ledger.write(note.text) }]) {
        await #expect(throws: Refusal.self) {
          try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
            try await queue.jobs.add(Note(text: "undone"), tenant: nil, in: transaction)
            throw Refusal()
          }
        }
        let added = try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
          try await queue.jobs.add(Note(text: "done"), tenant: nil, in: transaction)
        }
        #expect(try await queue.wait(for: added.id).station == .succeeded)
        #expect(ledger.entries == ["done"])
      }
    }
  }

  struct Trouble: Error {}

  @Test("A job that fails is tried again, until it has failed as often as it may")
  func retries() async throws {
    try await TestQueue.with { queue in
      let attempts = Ledger<Int>()
      let handler = JobHandler.on(Note.self) { note, context in
        attempts.write(context.attempt)
        if note.text == "never" || context.attempt < 3 { throw Trouble() }
      }
      try await queue.working([handler]) {
        let third = try await queue.jobs.add(Note(text: "third"), tenant: nil)
        let status = try await queue.wait(for: third.id)
        #expect(status.station == .succeeded)
        #expect(attempts.entries == [1, 2, 3])
        let never = try await queue.jobs.add(Note(text: "never"), tenant: nil)
        let dead = try await queue.wait(for: never.id)
        #expect(dead.station == .dead)
        #expect(dead.attempt == 3)
        #expect(dead.failures.last?.code == "Trouble")
        #expect(try await queue.count("dead", where: "error_code = 'Trouble' AND failed = 3") == 1)
      }
    }
  }

  @Test("A permanent failure is not tried again")
  func permanent() async throws {
    try await TestQueue.with { queue in
      let handler = JobHandler.on(Note.self) { _, _ in
        throw JobError.permanent(code: "CARD_EXPIRED", message: "the card has expired")
      }
      try await queue.working([handler]) {
        let added = try await queue.jobs.add(Note(text: "pay"), tenant: nil)
        let status = try await queue.wait(for: added.id)
        #expect(status.station == .dead)
        #expect(status.attempt == 1)
        #expect(try await queue.count("dead", where: "error_code = 'CARD_EXPIRED'") == 1)
      }
    }
  }

  @Test("A snoozed job runs again, and has not failed")
  func snooze() async throws {
    try await TestQueue.with { queue in
      let handler = JobHandler.on(Note.self) { _, context in
        if context.attempt < 6 { throw JobError.snooze(for: .milliseconds(5)) }
        #expect(context.failures == 0)
      }
      try await queue.working([handler]) {
        let added = try await queue.jobs.add(Note(text: "wait"), tenant: nil)
        let status = try await queue.wait(for: added.id)
        #expect(status.station == .succeeded)
        #expect(status.attempt == 6)
      }
    }
  }
}
