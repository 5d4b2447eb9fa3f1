internal import Postgres

/// Acknowledges jobs that succeeded. Returns those that are not the worker's any more.
struct FinishJobs: Statement {
  static let name = "FinishJobs"
  static let sql = "SELECT jobs_finish($1, $2, $3)"
  var worker: Int64
  var jobs: [UUID]
  var attempts: [Int32]

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(jobs)
    bindings.append(attempts)
  }

  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}

/// The same for one job, in the transaction of its effect. Whoever stands still before that commits is buried late, since
/// it holds its place on the list of workers; so not for long.
struct CompleteJob: Statement {
  static let name = "CompleteJob"
  static let sql = """
    SELECT jobs_finish($1, $2, $3)
    WHERE set_config('idle_in_transaction_session_timeout', '\(longestStillness)', true) IS NOT NULL
    """
  private static let longestStillness = "5s"
  var worker: Int64
  var job: UUID
  var attempt: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append([job])
    bindings.append([attempt])
  }

  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}
