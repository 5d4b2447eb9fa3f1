import Testing

@testable import Jobs
@testable import Postgres

/// A worker that does by hand, one statement at a time, what `JobWorker` does by itself.
struct TestWorker: Sendable {
  let queue: TestQueue
  let id: Int64

  func fetch(_ most: Int = 10, from name: String = "test", suspects: Int = 1) async throws -> [FetchedJob] {
    try await fetchRows(most, from: name, suspects: suspects).compactMap {
      if case .job(let job) = $0 { job } else { nil }
    }
  }

  func fetchRows(_ most: Int = 10, from name: String = "test", suspects: Int = 1) async throws -> [FetchedRow]
  {
    let fetch = FetchJobs(
      worker: id, queue: name, most: most, share: most, firstLane: 0, floors: Array(repeating: 0, count: 256),
      suspects: suspects)
    return try await queue.jobs.postgres.execute(fetch, tenant: nil)
  }

  /// Returns whether the job is its own.
  func begin(_ job: FetchedJob) async throws -> Bool? {
    let begin = BeginJob(worker: id, job: job.id, attempt: job.attempt)
    return try await queue.jobs.postgres.executeOne(begin, tenant: nil)
  }

  /// Returns the jobs it was refused.
  func finish(_ jobs: [FetchedJob]) async throws -> [UUID] {
    let finish = FinishJobs(worker: id, jobs: jobs.map(\.id), attempts: jobs.map(\.attempt))
    return try await queue.jobs.postgres.execute(finish, tenant: nil)
  }

  /// Returns the jobs it was refused.
  func settle(
    _ job: FetchedJob, _ outcome: Settlement.Outcome, delay: Duration = .zero, failure: Failure? = nil
  ) async throws -> [UUID] {
    let settlement = Settlement(
      job: job.id, attempt: job.attempt, outcome: outcome, delay: delay, failure: failure?.json)
    return try await queue.jobs.postgres.execute(
      SettleJobs(worker: id, settlements: [settlement]), tenant: nil)
  }

  /// Returns the jobs to cancel, or nil if it was buried.
  func beat(_ progress: [(job: UUID, share: Double)] = []) async throws -> [UUID]? {
    try await queue.jobs.postgres.executeOne(Beat(worker: id, progress: progress), tenant: nil)
  }

  /// Is buried by another who saw this beat; returns how many jobs it had, nil if it was not.
  func die(at beat: Int64? = 0) async throws -> Int32? {
    try await queue.jobs.postgres.executeOne(BuryWorker(worker: id, stillAt: beat), tenant: nil) ?? nil
  }
}

extension TestQueue {
  func enlist(_ name: String = "test", lease: Duration = .seconds(20)) async throws -> TestWorker {
    let id = try await jobs.postgres.executeOne(EnlistWorker(worker: name, lease: lease), tenant: nil)
    return TestWorker(queue: self, id: try #require(id))
  }

  /// Adds notes with these texts.
  @discardableResult
  func add(
    _ texts: [String], tenant: UUID? = nil, _ change: (inout NewJob) -> Void = { _ in }
  ) async throws -> [NewJob] {
    let new = try texts.map { text in
      var job = try NewJob(Note(text: text), tenant: tenant)
      change(&job)
      return job
    }
    try await jobs.addAll(new)
    return new
  }

  func stage() async throws -> StageJobs.Row {
    let stage = StageJobs(most: 1000, since: .negativeInfinity)
    return try #require(try await jobs.postgres.executeOne(stage, tenant: nil))
  }
}

/// Of notes.
func texts(_ jobs: [FetchedJob]) throws -> [String] {
  try jobs.map { try Payload.decode(Note.self, $0.payload.text).text }
}
