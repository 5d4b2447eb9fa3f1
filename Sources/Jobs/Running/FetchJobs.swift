internal import Postgres

/// A job that a worker has taken and nobody else may run.
struct FetchedJob: Sendable {
  var id: UUID
  /// Counts up with every run; with the worker's id, what an acknowledgement is checked against.
  var attempt: Int32
  var failed: Int
  var maxAttempts: Int
  var kind: String
  var tenant: UUID?
  var limitKey: String?
  var priority: Int
  var lane: Int
  var seq: Int64
  /// How long it was ready before it was taken, by the server's clock.
  var waited: Duration
  var payload: PostgresJSON
  /// Who took it.
  var worker: Int64 = 0

  /// Its worker died twice while it ran there.
  var isSuspect: Bool { lane == FairShare.lanes }
}

/// What a fetch tells, row by row.
enum FetchedRow: Sendable {
  case job(FetchedJob)
  /// Taken out of the way: its key is at its limit.
  case blocked(FetchedJob)
  /// The queue's own limits allow no more: until `after`, or if that is zero, until a job ends.
  case heldBack(after: Duration)
}

/// See jobs_fetch.
struct FetchJobs: Statement {
  static let name = "FetchJobs"
  static let sql = """
    SELECT job_id, attempt, failed, max_attempts, kind, tenant_id, limit_key, priority, lane, seq, ready_at, fetched_at,
      payload
    FROM jobs_fetch($1, $2, $3, $4, $5, $6, $7)
    """
  var worker: Int64
  var queue: String
  var most: Int
  var share: Int
  var firstLane: Int
  /// One for each priority and lane.
  var floors: [Int64]
  var suspects: Int

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(queue)
    bindings.append(Int32(most))
    bindings.append(Int32(share))
    bindings.append(Int32(firstLane))
    bindings.append(floors)
    bindings.append(Int32(suspects))
  }

  static func decode(_ row: inout RowReader) throws -> FetchedRow {
    let id = try row.next(UUID?.self)
    let attempt = try row.next(Int32.self)
    let failed = try row.next(Int16.self)
    let maxAttempts = try row.next(Int16.self)
    let kind = try row.next(String.self)
    let tenant = try row.next(UUID?.self)
    let limitKey = try row.next(String?.self)
    let priority = try row.next(Int16.self)
    let lane = try row.next(Int16.self)
    let seq = try row.next(Int64.self)
    let readyAt = try row.next(PostgresTimestamp.self)
    let fetchedAt = try row.next(PostgresTimestamp.self)
    let payload = try row.next(PostgresJSON?.self)
    guard let id, let payload else { return .heldBack(after: .milliseconds(seq)) }
    let job = FetchedJob(
      id: id, attempt: attempt, failed: Int(failed), maxAttempts: Int(maxAttempts), kind: kind,
      tenant: tenant,
      limitKey: limitKey, priority: Int(priority), lane: Int(lane), seq: seq,
      waited: .microseconds(max(0, fetchedAt.microseconds - readyAt.microseconds)), payload: payload)
    return attempt > 0 ? .job(job) : .blocked(job)
  }
}
