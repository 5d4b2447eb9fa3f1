import ServiceLifecycle
import Testing

@testable import Jobs
@testable import Postgres
@testable import StoreSvc

/// A worker of reports that does by hand, one step at a time, what `JobWorker` does by itself.
struct ReportHand: Sendable {
  let house: TestHouse
  let id: Int64

  init(_ house: TestHouse) async throws {
    self.house = house
    id = try #require(
      try await house.postgres.executeOne(EnlistWorker(worker: "hand", lease: .seconds(4)), tenant: nil))
  }

  /// Takes jobs, and begins them.
  func take(_ most: Int = 1, from queue: String = GenerateReport.queue) async throws -> [FetchedJob] {
    let fetch = FetchJobs(
      worker: id, queue: queue, most: most, share: most, firstLane: 0,
      floors: Array(repeating: 0, count: 256), suspects: 1)
    var jobs: [FetchedJob] = []
    for case .job(var job) in try await house.postgres.execute(fetch, tenant: nil) {
      job.worker = id
      jobs.append(job)
      guard job.isSuspect else { continue }
      let begin = BeginJob(worker: id, job: job.id, attempt: job.attempt)
      #expect(try await house.postgres.executeOne(begin, tenant: nil) == true)
    }
    return jobs
  }

  func takeOne() async throws -> FetchedJob { try #require(try await take().first) }

  /// Runs what a worker would run. Throws what its handler throws.
  func compute(_ job: FetchedJob) async throws {
    let handler = GenerateReport.handler(postgres: house.postgres, zones: house.zones, logger: .quiet)
    let context = JobContext(
      id: job.id, attempt: Int(job.attempt), failures: job.failed, tenant: job.tenant,
      deadline: .now + handler.options.timeout, worker: id, slot: RunSlot())
    try await handler.run(job.payload, context)
  }

  func report(_ progress: Double, of job: FetchedJob) async throws {
    _ = try await house.postgres.executeOne(Beat(worker: id, progress: [(job.id, progress)]), tenant: nil)
  }

  /// Acknowledges without having done anything, and lets in those that its limit held back.
  func finish(_ job: FetchedJob) async throws {
    _ = try await house.postgres.execute(
      FinishJobs(worker: id, jobs: [job.id], attempts: [job.attempt]), tenant: nil)
    let keys = job.limitKey.map { [$0] } ?? []
    _ = try await house.postgres.execute(
      UnblockJobs(keys: keys, counts: keys.map { _ in 1 }), tenant: nil)
  }

  func finishNext(of queue: String) async throws -> (job: UUID, attempt: Int32) {
    let job = try #require(try await take(from: queue).first)
    try await finish(job)
    return (job.id, job.attempt)
  }

  /// The run has failed, for good or for now.
  /// - Parameter secret: what the handler did not mean to say.
  func fail(_ job: FetchedJob, _ code: String, saying secret: String? = nil, isDead: Bool = true) async throws
  {
    let failure = Failure(
      code: code, message: secret ?? "it was \(code.lowercased())", isTold: secret == nil)
    let settlement = Settlement(
      job: job.id, attempt: job.attempt, outcome: isDead ? .dead : .retry, delay: .zero, failure: failure.json
    )
    _ = try await house.postgres.execute(SettleJobs(worker: id, settlements: [settlement]), tenant: nil)
  }

  /// Another has watched it, and heard nothing for the length of a lease.
  func die() async throws {
    let beat = try await house.superuser.executeOne(FindBeat(worker: id), tenant: nil)
    _ = try await house.postgres.executeOne(BuryWorker(worker: id, stillAt: beat), tenant: nil)
  }
}

/// A kind of job that nobody but a test runs.
struct Chore: JobKind {
  static let name = "chore"
  static let queue = "chores"
  var what: String
}

extension TestHouse {
  func add(_ what: String, tenant: UUID? = tenant) async throws -> UUID {
    try await jobs.add(Chore(what: what), tenant: tenant).id
  }

  /// A chore that has failed for good.
  func dead(_ what: String, tenant: UUID? = tenant, _ code: String = "BROKEN") async throws -> UUID {
    let id = try await add(what, tenant: tenant)
    let hand = try await ReportHand(self)
    try await hand.fail(try #require(try await hand.take(from: Chore.queue).first), code)
    return id
  }

  func limit(_ queue: String, running: Int, perSecond: Double, burst: Double) async throws {
    try await jobs.limit(queue, Limit(running: running, rate: Limit.Rate(perSecond: perSecond, burst: burst)))
  }

  /// A cron that is due in an hour.
  func declareCron(_ name: String) async throws -> PostgresTimestamp {
    let due = PostgresTimestamp(microseconds: PostgresTimestamp.now().microseconds + 3_600_000_000)
    _ = try await postgres.execute(
      DeclareCron(name: name, expression: "0 * * * *", timezone: "Europe/Berlin", first: due), tenant: nil)
    return due
  }

  /// Whether a cron's time comes; it is an hour later then.
  func tick(_ name: String, at due: PostgresTimestamp) async throws -> Bool? {
    let following = PostgresTimestamp(microseconds: due.microseconds + 3_600_000_000)
    return try await postgres.executeOne(
      AdvanceCron(name: name, expression: "0 * * * *", from: due, to: following), tenant: nil)
  }

  /// Works the reports while `body` runs, then shuts down in an orderly way.
  func working(_ body: @Sendable () async throws -> Void) async throws {
    let worker = GenerateReport.worker(jobs, zones: zones, logger: .quiet)
    let group = ServiceGroup(services: [worker], logger: .quiet)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await group.run() }
      let outcome: Swift.Result<Void, any Error>
      do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
      await group.triggerGracefulShutdown()
      try await tasks.waitForAll()
      try outcome.get()
    }
  }

  /// Waits until the job is at such a station.
  func wait(for job: UUID, at station: JobStation) async throws -> JobStatus {
    while true {
      if let status = try await jobs.find(job, tenant: nil), status.station == station { return status }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

private struct FindBeat: Statement {
  static let name = "FindBeat"
  static let sql = "SELECT beat FROM store.jobs_workers WHERE worker_id = $1"
  var worker: Int64
  func bind(into bindings: inout Bindings) { bindings.append(worker) }
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}
