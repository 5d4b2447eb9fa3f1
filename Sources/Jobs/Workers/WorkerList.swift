internal import Postgres

/// Puts a worker on the list; returns the id it has until it is buried.
struct EnlistWorker: Statement {
  static let name = "EnlistWorker"
  static let sql = "SELECT jobs_enlist($1, $2)"
  var worker: String
  /// It is dead when it has been silent for so long.
  var lease: Duration

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(PostgresInterval(lease))
  }

  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

/// Says that the worker lives; returns the jobs to cancel, or no row if it was buried.
struct Beat: Statement {
  static let name = "Beat"
  static let sql = "SELECT cancelled FROM jobs_beat($1, $2, $3)"
  var worker: Int64
  var progress: [(job: UUID, share: Double)]

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(progress.map(\.job))
    bindings.append(progress.map(\.share))
  }

  static func decode(_ row: inout RowReader) throws -> [UUID] { try row.next() }
}

struct WatchWorkers: Statement {
  static let name = "WatchWorkers"
  static let sql = "SELECT worker_id, beat, lease FROM jobs_watch()"
  static let isIdempotent = true
  static func decode(_ row: inout RowReader) throws -> WatchedWorker {
    WatchedWorker(
      worker: try row.next(), beat: try row.next(),
      lease: .microseconds(try row.next(PostgresInterval.self).microseconds))
  }
}

/// Takes a worker off the list and gives back what it has not finished; returns how many jobs that was, nil if it was off
/// the list already or lives after all.
struct BuryWorker: Statement {
  static let name = "BuryWorker"
  static let sql = "SELECT jobs_bury($1, $2)"
  var worker: Int64
  /// The beat at which it has stood still; nil for one that leaves by itself.
  var stillAt: Int64?

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(stillAt)
  }

  static func decode(_ row: inout RowReader) throws -> Int32? { try row.next() }
}

/// Gives back jobs the worker is said to run and knows nothing of; returns how many.
struct ReclaimJobs: Statement {
  static let name = "ReclaimJobs"
  static let sql = "SELECT jobs_reclaim($1, $2, $3)"
  static let isIdempotent = true
  var worker: Int64
  var known: [UUID]
  var since: Duration

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(known)
    bindings.append(PostgresInterval(since))
  }

  static func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}
