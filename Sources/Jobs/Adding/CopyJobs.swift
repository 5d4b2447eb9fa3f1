internal import Postgres

/// Many jobs at once, none of them unique, in a transaction.
struct CopyJobs {
  let jobs: ArraySlice<NewJob>

  private static let columns =
    "job_id, queue, kind, tenant_id, priority, lane, max_attempts, limit_key, payload"
  private static let ready: CopyCommand =
    "COPY jobs_ready (\(unescaped: columns)) FROM STDIN (FORMAT binary)"
  private static let scheduled: CopyCommand =
    "COPY jobs_scheduled (\(unescaped: columns), run_at) FROM STDIN (FORMAT binary)"

  func run(in transaction: Transaction) async throws {
    let ready = jobs.filter { $0.start == .now }
    let scheduled = jobs.filter { $0.start != .now }
    if !ready.isEmpty {
      try await transaction.copyIn(Self.ready) { writer in
        for job in ready { try await writer.writeRow { $0.append(job) } }
      }
    }
    guard !scheduled.isEmpty, let now = try await transaction.executeOne(ServerTime()) else { return }
    try await transaction.copyIn(Self.scheduled) { writer in
      for job in scheduled {
        try await writer.writeRow {
          $0.append(job)
          // None before now, as in jobs_add.
          $0.append(max(now, job.runAt ?? now.advanced(by: job.delay?.microseconds ?? 0)))
        }
      }
    }
  }
}

/// Delays are counted by the server's clock.
struct ServerTime: Statement {
  static let name = "ServerTime"
  static let sql = "SELECT clock_timestamp()"
  static let isIdempotent = true
  static func decode(_ row: inout RowReader) throws -> PostgresTimestamp { try row.next() }
}

extension PostgresTimestamp {
  fileprivate func advanced(by microseconds: Int64) -> PostgresTimestamp {
    PostgresTimestamp(microseconds: self.microseconds + microseconds)
  }
}

extension Bindings {
  fileprivate mutating func append(_ job: NewJob) {
    append(job.id)
    append(job.queue)
    append(job.kind)
    append(job.tenant)
    append(job.priority.rawValue)
    append(job.lane)
    append(Int16(clamping: job.maxAttempts))
    append(job.limit?.key)
    append(PostgresJSON(job.payload))
  }
}
