package import Postgres

extension Jobs {
  /// How the job fares; nil if there is none, or it is not the tenant's.
  /// - Parameter tenant: nil to find anybody's.
  package func find(_ id: UUID, tenant: UUID?) async throws -> JobStatus? {
    try await postgres.executeOne(FindJob(id: id, tenant: tenant), tenant: nil) ?? nil
  }
}

/// See jobs_find.
struct FindJob: Statement {
  static let name = "FindJob"
  static let sql = """
    SELECT station, queue, kind, tenant_id, attempt, created_at, run_at, started_at, finished_at, progress,
      cancel_requested, \(FailedRun.columns)
    FROM jobs_find($1, $2)
    """
  static let isIdempotent = true
  var id: UUID
  var tenant: UUID?

  func bind(into bindings: inout Bindings) {
    bindings.append(id)
    bindings.append(tenant)
  }

  static func decode(_ row: inout RowReader) throws -> JobStatus? {
    let station = JobStation(rawValue: try row.next())
    let status = JobStatus(
      station: station ?? .ready, queue: try row.next(), kind: try row.next(), tenant: try row.next(),
      attempt: Int(try row.next(Int32.self)), createdAt: try row.next(), runAt: try row.next(),
      startedAt: try row.next(), finishedAt: try row.next(), progress: try row.next(),
      isCancelRequested: try row.next(), failures: try FailedRun.decode(&row))
    return station == nil ? nil : status
  }
}
