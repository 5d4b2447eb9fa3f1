internal import Postgres

/// Says that a suspect job is begun; see jobs_begin. False if it is not the worker's any more.
struct BeginJob: Statement {
  static let name = "BeginJob"
  static let sql = "SELECT jobs_begin($1, $2, $3)"
  var worker: Int64
  var job: UUID
  var attempt: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(job)
    bindings.append(attempt)
  }

  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
