internal import Postgres

/// Makes ready what is due; see jobs_stage.
struct StageJobs: Statement {
  static let name = "StageJobs"
  static let sql = "SELECT queues, moved, reached, next_in FROM jobs_stage($1, $2)"
  var most: Int32
  var since: PostgresTimestamp

  struct Row: Sendable {
    var queues: [String]
    var moved: Int32
    var reached: PostgresTimestamp?
    /// Until the next is due, in seconds.
    var nextIn: Double?
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(most)
    bindings.append(since)
  }

  static func decode(_ row: inout RowReader) throws -> Row {
    Row(queues: try row.next(), moved: try row.next(), reached: try row.next(), nextIn: try row.next())
  }
}
