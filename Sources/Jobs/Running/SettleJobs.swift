internal import Postgres

/// Says what became of jobs that did not succeed. Returns those that are not the worker's any more.
struct SettleJobs: Statement {
  static let name = "SettleJobs"
  static let sql = "SELECT jobs_settle($1, $2, $3, $4, $5, $6)"
  var worker: Int64
  var settlements: [Settlement]

  func bind(into bindings: inout Bindings) {
    bindings.append(worker)
    bindings.append(settlements.map(\.job))
    bindings.append(settlements.map(\.attempt))
    bindings.append(settlements.map(\.outcome.rawValue))
    bindings.append(settlements.map { PostgresInterval($0.delay) })
    bindings.append(settlements.map(\.failure))
  }

  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}

/// What is to become of one job; see jobs_settle_one.
struct Settlement: Hashable, Sendable {
  enum Outcome: String, Sendable {
    case retry, dead, snooze, cancel
  }

  var job: UUID
  var attempt: Int32
  var outcome: Outcome
  var delay: Duration
  /// A `Failure`, as JSON.
  var failure: String?
}

extension PostgresInterval {
  /// Whole microseconds of a duration, of 100 years at most.
  init(_ duration: Duration) {
    let most = Duration.seconds(100 * 365 * 86_400)
    self.init(microseconds: Int64(max(.zero, min(most, duration)) / .microseconds(1)))
  }
}
