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
