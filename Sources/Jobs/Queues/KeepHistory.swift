internal import Postgres

extension Jobs {
  /// Makes room for the history to come, and drops what has been kept for long enough.
  package func keepHistory() async throws {
    _ = try await postgres.execute(KeepHistory(ahead: 7, keep: keep), tenant: nil)
  }
}

struct KeepHistory: Statement {
  static let name = "KeepHistory"
  static let sql = "SELECT made, dropped FROM jobs_keep_history($1, $2)"
  static let isIdempotent = true
  /// In days.
  var ahead: Int32
  var keep: Duration

  func bind(into bindings: inout Bindings) {
    bindings.append(ahead)
    bindings.append(PostgresInterval(keep))
  }

  /// Partitions; no row if another process is at it.
  static func decode(_ row: inout RowReader) throws -> (made: Int32, dropped: Int32) {
    (try row.next(), try row.next())
  }
}
