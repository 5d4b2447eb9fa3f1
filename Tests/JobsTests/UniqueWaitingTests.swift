import Testing

@testable import Jobs
@testable import Postgres

/// Who waits for whom when an open transaction has added a unique job.
@Suite("Unique jobs in open transactions")
struct UniqueWaitingTests {
  private static func job(_ unique: NewJob.Unique) throws -> NewJob {
    var job = try NewJob(Note(text: "x"), tenant: nil)
    job.unique = unique
    return job
  }

  /// Returns when somebody waits for what this transaction has locked.
  private static func waiter(for transaction: Transaction, _ queue: TestQueue) async throws {
    let server = try await transaction.executeOne(ServerProcess()) ?? 0
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE \(server) = ANY (pg_blocking_pids(pid))"
    while try await queue.superuser.value(waiting, Int64.self) == 0 { await Task.yield() }
  }

  @Test("A job ends while an open transaction has been told that it has the key")
  func ends() async throws {
    try await TestQueue.with { queue in
      let first = try await queue.jobs.add(Self.job(.init("k")))
      let worker = try await queue.enlist()
      let running = try await worker.fetch()
      try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
        try await #expect(queue.jobs.add(Self.job(.init("k")), in: transaction).id == first.id)
        try await #expect(worker.finish(running) == [])
        try await #expect(queue.count("history") == 1)
      }
      try await #expect(queue.jobs.add(Self.job(.init("k"))).isNew)
    }
  }

  @Test("So it does if the open transaction had waited for the one that added the job")
  func endsAfterWaiting() async throws {
    try await TestQueue.with { queue in
      let ended = Gate()
      let told = Gate()
      let second = try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
        let first = try await queue.jobs.add(Self.job(.init("k")), in: transaction)
        let second = Task {
          try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
            try await #expect(queue.jobs.add(Self.job(.init("k")), in: transaction).id == first.id)
            told.open()
            await ended.pass()
          }
        }
        try await Self.waiter(for: transaction, queue)
        return second
      }
      await told.pass()
      let worker = try await queue.enlist()
      do {
        defer { ended.open() }
        try await #expect(worker.finish(try await worker.fetch()) == [])
      }
      try await second.value
      try await #expect(queue.count("history") == 1)
    }
  }

  @Test(
    "Whoever takes a free key keeps the next waiting until it is known who has it", arguments: [true, false])
  func takesTurns(commits: Bool) async throws {
    struct Undone: Error {}
    try await TestQueue.with { queue in
      // Known before, and free.
      let old = try await queue.jobs.add(Self.job(.init("k")))
      try await #expect(queue.jobs.cancel(old.id, tenant: nil) == .cancelled)
      let next = Ledger<Task<AddedJob, any Error>>()
      do {
        try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
          try await #expect(queue.jobs.add(Self.job(.init("k")), in: transaction).isNew)
          next.write(Task { try await queue.jobs.add(Self.job(.init("k"))) })
          try await Self.waiter(for: transaction, queue)
          if !commits { throw Undone() }
        }
      } catch is Undone {}
      try await #expect(next.entries[0].value.isNew == !commits)
      try await #expect(queue.count("ready") == 1)
    }
  }

  @Test(
    "A job ends, or is given back, while an open transaction takes the key it has let go",
    arguments: [true, false])
  func letGo(finishes: Bool) async throws {
    try await TestQueue.with { queue in
      let unique = NewJob.Unique("k", untilStart: true)
      try await queue.jobs.add(Self.job(unique))
      let worker = try await queue.enlist()
      let running = try await worker.fetch()
      try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
        try await #expect(queue.jobs.add(Self.job(unique), in: transaction).isNew)
        if finishes {
          try await #expect(worker.finish(running) == [])
        } else {
          try await #expect(worker.settle(running[0], .snooze) == [])
          try await #expect(worker.fetch().count == 1)
        }
      }
      try await #expect(!queue.jobs.add(Self.job(unique)).isNew)
    }
  }

  @Test(
    "A job that lets its key go at the start does not start before the transaction that counts on it has ended"
  )
  func startsLater() async throws {
    try await TestQueue.with { queue in
      let unique = NewJob.Unique("k", untilStart: true)
      let first = try await queue.jobs.add(Self.job(unique))
      try await queue.add(["free"])
      let worker = try await queue.enlist()
      try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
        try await #expect(queue.jobs.add(Self.job(unique), in: transaction).id == first.id)
        try await #expect(texts(worker.fetch()) == ["free"])
      }
      try await #expect(worker.fetch().map(\.id) == [first.id])
    }
  }

  @Test(
    "A job that is given back has the key again that it let go, unless another has it by now",
    arguments: [true, false])
  func givenBack(isTaken: Bool) async throws {
    try await TestQueue.with { queue in
      let unique = NewJob.Unique("k", untilStart: true)
      let first = try await queue.jobs.add(Self.job(unique))
      let worker = try await queue.enlist()
      let fetched = try await worker.fetch()[0]
      let second = isTaken ? try await queue.jobs.add(Self.job(unique)) : first
      #expect(second.isNew)
      try await #expect(worker.settle(fetched, .snooze) == [])
      try await #expect(queue.jobs.add(Self.job(unique)) == AddedJob(id: second.id, isNew: false))
    }
  }
}
