internal import Postgres

struct Unblocked: Sendable {
  var queues: [String]
  /// Until a rate leaves room for more, in seconds.
  var nextIn: Double?
}

/// Lets in jobs with these keys, for each at most so many; see jobs_unblock.
struct UnblockJobs: Statement {
  static let name = "UnblockJobs"
  static let sql = "SELECT queues, next_in FROM jobs_unblock($1, $2)"
  static let isIdempotent = true
  var keys: [String]
  var counts: [Int32]

  func bind(into bindings: inout Bindings) {
    bindings.append(keys)
    bindings.append(counts)
  }

  static func decode(_ row: inout RowReader) throws -> Unblocked {
    Unblocked(queues: try row.next(), nextIn: try row.next())
  }
}

/// The same for the keys that come after one; see jobs_unblock_after.
struct UnblockJobsAfter: Statement {
  static let name = "UnblockJobsAfter"
  static let sql = "SELECT queues, next_in, reached FROM jobs_unblock_after($1, $2)"
  static let isIdempotent = true
  var after: String
  var most: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(after)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> (unblocked: Unblocked, reached: String?) {
    (Unblocked(queues: try row.next(), nextIn: try row.next()), try row.next())
  }
}
