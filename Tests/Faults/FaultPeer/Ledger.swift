import Postgres

/// A run has begun. Fails if this attempt has begun before.
struct BeginRun: Statement {
  static let name = "BeginRun"
  static let sql =
    "INSERT INTO runs (job_id, attempt, manner, process, own_clock) VALUES ($1, $2, $3, $4, $5)"
  var job: UUID
  var attempt: Int32
  var manner: String
  var process: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(job)
    bindings.append(attempt)
    bindings.append(manner)
    bindings.append(process)
    bindings.append(PostgresTimestamp.now())
  }
}

struct EndRun: Statement {
  static let name = "EndRun"
  static let sql = "UPDATE runs SET ended_at = clock_timestamp() WHERE job_id = $1 AND attempt = $2"
  var job: UUID
  var attempt: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(job)
    bindings.append(attempt)
  }
}

/// What the job is for.
struct TakeEffect: Statement {
  static let name = "TakeEffect"
  static let sql = "INSERT INTO effects (job_id, attempt) VALUES ($1, $2)"
  var job: UUID
  var attempt: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(job)
    bindings.append(attempt)
  }
}

/// The acknowledgement that was to come with the effect was refused.
struct NoteRefusal: Statement {
  static let name = "NoteRefusal"
  static let sql = "INSERT INTO refusals (job_id, attempt) VALUES ($1, $2)"
  var job: UUID
  var attempt: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(job)
    bindings.append(attempt)
  }
}

/// What a caller writes besides the job.
struct WriteRow: Statement {
  static let name = "WriteRow"
  static let sql = "INSERT INTO written (id) VALUES ($1)"
  var id: UUID

  func bind(into bindings: inout Bindings) { bindings.append(id) }
}
