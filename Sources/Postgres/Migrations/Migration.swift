/// One step in the life of a service's schema. Append-only: what has been applied somewhere is never edited.
package struct Migration: Sendable, Hashable {
  /// From 1, without gaps.
  package let version: Int32
  /// What the file is called after its number, e.g. `stores`.
  package let name: String
  /// Statements separated by semicolons, run in one transaction; so no `CREATE INDEX CONCURRENTLY`, `COMMIT`, …
  package let sql: String

  package init(version: Int32, name: String, sql: String) {
    self.version = version
    self.name = name
    self.sql = sql
  }
}

extension Migration: CustomStringConvertible {
  package var description: String {
    let digits = String(version)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "_" + name
  }
}

/// Why a database cannot be migrated, or is not fit to be served from. Each is one line for an operator.
package enum MigrationError: Error, Hashable, Sendable, CustomStringConvertible {
  case edited(Migration)
  /// The database has been migrated by a newer program than this one.
  case newerDatabase(version: Int32, known: Int32)
  /// The service cannot start yet.
  case pending([Migration])
  case failed(Migration, PostgresError)
  /// It ended the transaction it was run in, so what it did cannot be undone.
  case endedTransaction(Migration)
  case misnumbered(Migration)

  package var description: String {
    switch self {
    case .edited(let migration):
      "migration \(migration) was edited after it had been applied; put it back and add a new one"
    case .newerDatabase(let version, let known):
      "the database is at migration \(version), newer than the newest known here (\(known)); run a newer release"
    case .pending(let migrations):
      "migrations missing: \(migrations.map(\.description).joined(separator: ", ")); run `migrate` first"
    case .failed(let migration, let error):
      "migration \(migration) failed and was rolled back: \(error)"
    case .endedTransaction(let migration):
      "migration \(migration) contains COMMIT or ROLLBACK; it must leave its transaction alone"
    case .misnumbered(let migration):
      "migration \(migration) is out of order: versions count from 1 without gaps"
    }
  }
}
