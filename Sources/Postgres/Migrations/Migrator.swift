package import Logging
package import NIOCore

/// Brings a service's schema to the version its program knows, as the role that owns the schema.
///
/// Each migration is one transaction. Programs that start at the same time take turns (an advisory lock), and find
/// done what another has done. What was applied is recorded, with its checksum, in `schema_migrations`.
package struct Migrator: Sendable {
  package let schema: String
  package let migrations: [Migration]
  /// How long a migration waits for a lock on a table that is being served from. Everybody else queues behind it
  /// meanwhile, so it gives up soon and is tried again by hand.
  package var lockTimeout = TimeAmount.seconds(5)
  /// For one migration, including the wait for another program that migrates.
  package var timeout = TimeAmount.minutes(30)

  /// - Parameter schema: a plain identifier; created if it is not there and the role may.
  package init(schema: String, migrations: [Migration]) throws(MigrationError) {
    for (index, migration) in migrations.enumerated() where Int(migration.version) != index + 1 {
      throw .misnumbered(migration)
    }
    self.schema = schema
    self.migrations = migrations
  }

  /// Applies what is missing, in order, and returns it.
  /// - Parameter dryRun: only say what is missing.
  @discardableResult
  package func run(
    on client: PostgresClient, dryRun: Bool = false, logger: Logger
  ) async throws -> [Migration] {
    if dryRun { return try await pending(on: client) }
    try await prepare(client)
    var applied: [Migration] = []
    while let migration = try await applyNext(on: client) {
      logger.info("migrated", metadata: ["migration": "\(migration)"])
      applied.append(migration)
    }
    return applied
  }

  /// What is missing. Also refuses edited migrations and a database newer than this program. Any role will do that
  /// may use the schema.
  package func pending(on client: PostgresClient) async throws -> [Migration] {
    try await client.transaction(tenant: nil, options: TransactionOptions(isReadOnly: true)) {
      transaction in
      guard try await transaction.executeOne(HasTable(table: table)) ?? false else { return migrations }
      return try await missing(transaction)
    }
  }

  /// Throws `.pending` unless the schema has what this program needs: the check before serving. A newer database
  /// is fine, and logged: while a release is rolled out, or back, the one before it must be able to start.
  package func requireCurrent(on client: PostgresClient, logger: Logger) async throws {
    do {
      let missing = try await pending(on: client)
      guard missing.isEmpty else { throw MigrationError.pending(missing) }
    } catch MigrationError.newerDatabase(let version, let known) {
      logger.warning(
        "the database is newer than this release",
        metadata: ["migration": "\(version)", "known": "\(known)"])
    }
  }

  private var table: String { "\(schema.quotedIdentifier).schema_migrations" }

  /// The statements below name the table alone; every service has its own.
  private func qualified(_ sql: String) -> String { sql.replacing("schema_migrations", with: table) }

  private var options: TransactionOptions { TransactionOptions(statementTimeout: timeout) }

  private func prepare(_ client: PostgresClient) async throws {
    try await client.transaction(tenant: nil, options: options) { transaction in
      _ = try await transaction.execute(TakeTurns(schema: schema))
      guard try await !(transaction.executeOne(HasTable(table: table)) ?? false) else { return }
      // IF NOT EXISTS would demand the right to create even when the schema exists.
      if try await !(transaction.executeOne(HasSchema(schema: schema.quotedIdentifier)) ?? false) {
        try await transaction.execute(sql: "CREATE SCHEMA \(schema.quotedIdentifier)")
      }
      try await transaction.script(
        """
        CREATE TABLE \(table) (
          version int PRIMARY KEY,
          name text NOT NULL,
          checksum bytea NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now()
        );
        COMMENT ON TABLE \(table) IS 'What has been done to this schema, and a SHA-256 of how.';
        GRANT SELECT ON \(table) TO PUBLIC;
        """)
    }
  }

  private func applyNext(on client: PostgresClient) async throws -> Migration? {
    try await client.transaction(tenant: nil, options: options) { transaction in
      _ = try await transaction.execute(TakeTurns(schema: schema))
      guard let migration = try await missing(transaction).first else { return nil }
      _ = try await transaction.execute(SetLockTimeout(milliseconds: lockTimeout.nanoseconds / 1_000_000))
      let before = try await transaction.executeOne(TransactionID())
      do {
        try await transaction.script(migration.sql)
      } catch let error as PostgresError where !error.isTransactionConflict {
        throw MigrationError.failed(migration, error)
      }
      guard try await transaction.executeOne(TransactionID()) == before else {
        throw MigrationError.endedTransaction(migration)
      }
      _ = try await transaction.execute(Record(migration: migration), sql: qualified(Record.sql))
      return migration
    }
  }

  /// Compares what the database has with what this program knows.
  private func missing(_ transaction: Transaction) async throws -> [Migration] {
    let applied = try await transaction.execute(Applied(), sql: qualified(Applied.sql))
    for row in applied where migrations.indices.contains(Int(row.version) - 1) {
      let migration = migrations[Int(row.version) - 1]
      let checksum = try await transaction.executeOne(Checksum(text: migration.sql))
      guard checksum == row.checksum else { throw MigrationError.edited(migration) }
    }
    let versions = Set(applied.map(\.version))
    if let newest = versions.max(), Int(newest) > migrations.count {
      throw MigrationError.newerDatabase(version: newest, known: Int32(migrations.count))
    }
    return migrations.filter { !versions.contains($0.version) }
  }
}

/// One program at a time per schema, until the transaction ends.
private struct TakeTurns: Statement {
  static let name = "Migrator.TakeTurns"
  static let sql = "SELECT pg_advisory_xact_lock(hashtextextended('mainstreet migrations of ' || $1, 0))"
  var schema: String
  func bind(into bindings: inout Bindings) { bindings.append(schema) }
}

private struct HasSchema: Statement {
  static let name = "Migrator.HasSchema"
  static let sql = "SELECT to_regnamespace($1) IS NOT NULL"
  var schema: String
  func bind(into bindings: inout Bindings) { bindings.append(schema) }
  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

private struct HasTable: Statement {
  static let name = "Migrator.HasTable"
  static let sql = "SELECT to_regclass($1) IS NOT NULL"
  var table: String
  func bind(into bindings: inout Bindings) { bindings.append(table) }
  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

private struct Applied: Statement {
  static let name = "Migrator.Applied"
  static let sql = "SELECT version, checksum FROM schema_migrations ORDER BY version"
  static func decode(_ row: inout RowReader) throws -> (version: Int32, checksum: ByteBuffer) {
    (try row.next(), try row.next())
  }
}

/// Postgres has SHA-256 already.
private struct Checksum: Statement {
  static let name = "Migrator.Checksum"
  static let sql = "SELECT sha256(convert_to($1, 'UTF8'))"
  var text: String
  func bind(into bindings: inout Bindings) { bindings.append(text) }
  static func decode(_ row: inout RowReader) throws -> ByteBuffer { try row.next() }
}

private struct Record: Statement {
  static let name = "Migrator.Record"
  static let sql = """
    INSERT INTO schema_migrations (version, name, checksum)
    VALUES ($1, $2, sha256(convert_to($3, 'UTF8')))
    """
  var migration: Migration
  func bind(into bindings: inout Bindings) {
    bindings.append(migration.version)
    bindings.append(migration.name)
    bindings.append(migration.sql)
  }
}

/// Changes when a transaction ends, whoever ended it.
private struct TransactionID: Statement {
  static let name = "Migrator.TransactionID"
  static let sql = "SELECT pg_current_xact_id()::text"
  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
