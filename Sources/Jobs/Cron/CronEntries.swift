internal import Postgres

/// A cron job as the database knows it, and the time by the database's clock.
struct CronEntry: Sendable {
  var name: String
  var expression: String
  var timezone: String
  var next: PostgresTimestamp
  var now: PostgresTimestamp
}

struct CronEntries: Statement {
  static let name = "CronEntries"
  static let sql = "SELECT name, expression, timezone, next_at, now_at FROM jobs_crons_next()"
  static let isIdempotent = true

  static func decode(_ row: inout RowReader) throws -> CronEntry {
    CronEntry(
      name: try row.next(), expression: try row.next(), timezone: try row.next(), next: try row.next(),
      now: try row.next())
  }
}

struct DeclareCron: Statement {
  static let name = "DeclareCron"
  static let sql = "SELECT jobs_cron($1, $2, $3, $4)"
  static let isIdempotent = true
  var name: String
  var expression: String
  var timezone: String
  var first: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(name)
    bindings.append(expression)
    bindings.append(timezone)
    bindings.append(first)
  }
}

/// Moves an entry on to its next time. True for one only of all who try from the same time.
struct AdvanceCron: Statement {
  static let name = "AdvanceCron"
  static let sql = "SELECT jobs_tick($1, $2, $3, $4)"
  var name: String
  var expression: String
  var from: PostgresTimestamp
  var to: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(name)
    bindings.append(expression)
    bindings.append(from)
    bindings.append(to)
  }

  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
