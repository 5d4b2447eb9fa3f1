package import Postgres

/// A cron job as the database knows it.
package struct CronStatus: Sendable, Hashable {
  package var name: String
  package var expression: String
  package var timezone: String
  /// `infinity` if never.
  package var nextAt: PostgresTimestamp
  package var lastAt: PostgresTimestamp?
  package var isPaused: Bool
}

extension Jobs {
  /// All cron jobs, by name; at most 1,000.
  package func crons() async throws -> [CronStatus] { try await postgres.execute(ListCrons(), tenant: nil) }

  /// Adds no more jobs of it until it is resumed, or lets it go on: then the times in between are missed ones.
  /// - Returns: false if there is no such cron job.
  package func pauseCron(_ name: String, isPaused: Bool) async throws -> Bool {
    try await postgres.executeOne(PauseCron(cron: name, isPaused: isPaused), tenant: nil) ?? false
  }
}

struct ListCrons: Statement {
  static let name = "ListCrons"
  static let sql = "SELECT name, expression, timezone, next_at, last_at, is_paused FROM jobs_crons_said()"
  static let isIdempotent = true

  static func decode(_ row: inout RowReader) throws -> CronStatus {
    CronStatus(
      name: try row.next(), expression: try row.next(), timezone: try row.next(), nextAt: try row.next(),
      lastAt: try row.next(), isPaused: try row.next())
  }
}

struct PauseCron: Statement {
  static let name = "PauseCron"
  static let sql = "SELECT jobs_pause_cron($1, $2)"
  static let isIdempotent = true
  var cron: String
  var isPaused: Bool

  func bind(into bindings: inout Bindings) {
    bindings.append(cron)
    bindings.append(isPaused)
  }

  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
