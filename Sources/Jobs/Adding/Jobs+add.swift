package import Postgres

extension Jobs {
  /// Adds a job in a transaction of its own: when this returns, it will be run.
  @discardableResult
  package func add(_ job: NewJob) async throws -> AddedJob {
    try await declareLimits(of: [job])
    guard job.unique == nil else {
      // Whoever adds the same key waits for another who does: on a connection of its own.
      return try await postgres.transaction(tenant: nil) { try await insert(job, in: $0) }
    }
    _ = try await postgres.execute(AddJobs(jobs: [job]), tenant: nil)
    announce([job])
    return AddedJob(id: job.id, isNew: true)
  }

  /// Adds a job in the caller's transaction: it is run if that commits, and never was if it does not.
  @discardableResult
  package func add(_ job: NewJob, in transaction: Transaction) async throws -> AddedJob {
    try await declareLimits(of: [job])
    return try await insert(job, in: transaction)
  }

  private func insert(_ job: NewJob, in transaction: Transaction) async throws -> AddedJob {
    let added: AddedJob
    if let unique = job.unique {
      let holder = try await transaction.executeOne(AddUniqueJob(job: job, unique: unique))
      added = AddedJob(id: holder ?? job.id, isNew: holder == job.id)
    } else {
      _ = try await transaction.execute(AddJobs(jobs: [job]))
      added = AddedJob(id: job.id, isNew: true)
    }
    if added.isNew { transaction.afterCommit { self.announce([job]) } }
    return added
  }

  @discardableResult
  package func add(_ job: some JobKind, tenant: UUID?) async throws -> AddedJob {
    try await add(NewJob(job, tenant: tenant))
  }

  @discardableResult
  package func add(_ job: some JobKind, tenant: UUID?, in transaction: Transaction) async throws -> AddedJob {
    try await add(NewJob(job, tenant: tenant), in: transaction)
  }

  /// Adds any number of jobs, all or none.
  /// - Throws: `JobsError.uniqueInBulk` if one has a unique key.
  package func addAll(_ jobs: [NewJob]) async throws {
    if jobs.count <= Self.mostInArrays {
      try await check(jobs)
      if !jobs.isEmpty { _ = try await postgres.execute(AddJobs(jobs: jobs[...]), tenant: nil) }
      announce(jobs)
    } else {
      try await check(jobs)
      let options = TransactionOptions(statementTimeout: postgres.configuration.copyTimeout)
      try await postgres.transaction(tenant: nil, options: options) { transaction in
        try await CopyJobs(jobs: jobs[...]).run(in: transaction)
      }
      announce(jobs)
    }
  }

  /// Adds any number of jobs in the caller's transaction.
  package func addAll(_ jobs: [NewJob], in transaction: Transaction) async throws {
    try await check(jobs)
    if jobs.count <= Self.mostInArrays {
      if !jobs.isEmpty { _ = try await transaction.execute(AddJobs(jobs: jobs[...])) }
    } else {
      try await CopyJobs(jobs: jobs[...]).run(in: transaction)
    }
    transaction.afterCommit { self.announce(jobs) }
  }

  /// Past so many, jobs are copied in.
  private static var mostInArrays: Int { 2000 }

  private func check(_ jobs: [NewJob]) async throws {
    guard jobs.allSatisfy({ $0.unique == nil }) else { throw JobsError.uniqueInBulk }
    try await declareLimits(of: jobs)
  }

  /// Sees to it that the database knows the limits of these jobs. Never in the transaction that adds them: whoever
  /// changes a limit keeps everybody waiting who is under it.
  private func declareLimits(of jobs: [NewJob]) async throws {
    var keys: Set<KeyedLimit> = []
    for job in jobs { if let limit = job.limit { keys.insert(limit) } }
    let now = ContinuousClock.now
    for keyed in keys where !limits.isKnown(keyed, now) {
      _ = try await postgres.execute(DeclareLimit(keyed: keyed), tenant: nil)
      limits.learn(keyed, now)
    }
  }

  /// Wakes up whoever can do something about them.
  private func announce(_ jobs: [NewJob]) {
    var queues: Set<String> = []
    var isStaged = false
    for job in jobs {
      if job.start == .now { queues.insert(job.queue) } else { isStaged = true }
    }
    if !queues.isEmpty { wake(queues) }
    if isStaged { doorbells.ring(Doorbells.schedule) }
  }
}

/// How the queue was used in a way it does not support.
package enum JobsError: Error, Hashable, Sendable, CustomStringConvertible {
  case uniqueInBulk

  package var description: String { "unique jobs are added one by one" }
}
