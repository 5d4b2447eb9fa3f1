internal import Postgres

struct GroupDeadJobs: Statement {
  static let name = "GroupDeadJobs"
  static let sql = """
    SELECT kind, error_code, jobs, first_died_at, last_died_at FROM jobs_dead_groups($1, $2, $3, $4, $5, $6)
    """
  static let isIdempotent = true
  var filter: DeadJobFilter

  func bind(into bindings: inout Bindings) { bindings.append(filter) }

  static func decode(_ row: inout RowReader) throws -> DeadJobGroup {
    DeadJobGroup(
      kind: try row.next(), errorCode: try row.next(), jobs: Int(try row.next(Int64.self)),
      firstDiedAt: try row.next(), lastDiedAt: try row.next())
  }
}

struct ListDeadJobs: Statement {
  static let name = "ListDeadJobs"
  static let sql = """
    SELECT job_id, queue, kind, tenant_id, attempt, created_at, died_at, error_code, redrives, payload,
      \(FailedRun.columns)
    FROM jobs_dead_list($1, $2, $3, $4, $5, $6, $7, $8, $9)
    """
  static let isIdempotent = true
  var filter: DeadJobFilter
  var previous: DeadJobPlace?
  var most: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(filter)
    bindings.append(previous?.diedAt)
    bindings.append(previous?.id)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> DeadJob {
    DeadJob(
      id: try row.next(), queue: try row.next(), kind: try row.next(), tenant: try row.next(),
      attempts: Int(try row.next(Int32.self)), createdAt: try row.next(), diedAt: try row.next(),
      errorCode: try row.next(), redrives: Int(try row.next(Int32.self)), payload: try row.next(),
      failures: try FailedRun.decode(&row))
  }
}

/// Returns the queue of each that is run again.
struct RedriveJobs: Statement {
  static let name = "RedriveJobs"
  static let sql = "SELECT queue FROM jobs_redrive($1, $2, $3, $4, $5, $6, $7) AS queue"
  var filter: DeadJobFilter
  var most: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(filter)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

struct EditDeadJob: Statement {
  static let name = "EditDeadJob"
  static let sql = "SELECT jobs_dead_edit($1, $2, $3)"
  static let isIdempotent = true
  var id: UUID
  var tenant: UUID?
  var payload: String

  func bind(into bindings: inout Bindings) {
    bindings.append(id)
    bindings.append(tenant)
    bindings.append(payload)
  }

  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

struct DeleteDeadJobs: Statement {
  static let name = "DeleteDeadJobs"
  static let sql = "SELECT jobs_dead_delete($1, $2, $3, $4, $5, $6, $7)"
  var filter: DeadJobFilter
  var most: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(filter)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}

extension Bindings {
  /// $1 to $6.
  fileprivate mutating func append(_ filter: DeadJobFilter) {
    append(filter.ids)
    append(filter.kind)
    append(filter.errorCode)
    append(filter.tenant)
    append(filter.diedFrom)
    append(filter.diedBefore)
  }
}
