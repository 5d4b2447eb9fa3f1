package import Postgres

/// What a handler knows of the job it runs, besides its payload.
///
/// The task is cancelled when the job is to stop: somebody cancelled it, it ran out of time, the worker shuts down, or
/// it lost touch with the database and the job may be another's by now. Whatever a handler throws then counts as that.
package struct JobContext: Sendable {
  /// The same every time the job is run: the key by which another system can tell that it has done this before.
  package let id: UUID
  /// From 1; counts every run, not only those that failed.
  package let attempt: Int
  /// How many of its runs have failed before this one.
  package let failures: Int
  package let tenant: UUID?
  /// When the task is cancelled for taking too long.
  package let deadline: ContinuousClock.Instant
  let worker: Int64
  let slot: RunSlot

  /// Says how far the job is, 0 to 1; others see it after the next beat of the worker.
  package func progress(_ share: Double) { slot.report(min(1, max(0, share)), of: id) }

  /// Acknowledges the job in the transaction of its effect: both happen, or neither. Best said last: from here on the
  /// transaction is undone if nothing is heard of it for five seconds.
  /// - Throws: `JobError.lost` if the job is another worker's by now.
  package func complete(in transaction: Transaction) async throws {
    let refused = try await transaction.execute(
      CompleteJob(worker: worker, job: id, attempt: Int32(attempt)))
    guard refused.isEmpty else { throw JobError.lost }
    transaction.afterCommit { slot.completed(id) }
  }
}
