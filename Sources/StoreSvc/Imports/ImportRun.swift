import NIOCore
import Postgres
import RPC
import TimeZones

/// Imports one upload: staged as it arrives, then merged, in one transaction, so that other callers see all of it
/// or nothing.
struct ImportRun<File: ImportedFile>: Sendable {
  let postgres: PostgresClient
  let tenant: UUID
  let now: PostgresTimestamp
  let file: File
  let limits: ImportLimits
  let watch: UploadWatch

  struct Summary: Sendable {
    var tally: ImportTally
    var stored: Int
    var storesCreated: Int

    var duplicates: Int { tally.rows - tally.rejected - stored }
  }

  func run(_ pieces: some AsyncSequence<ByteBuffer, any Error>) async throws -> Summary {
    // One attempt: an upload cannot be read twice.
    let options = TransactionOptions(statementTimeout: .minutes(30), attempts: 1)
    return try await postgres.transaction(tenant: tenant, options: options) { transaction in
      try await transaction.execute(sql: File.staging.create, name: "CreateImportStaging")
      let (tally, stores) = try await stage(pieces, transaction)
      let created = try await settle(stores, transaction)
      let stored = try await file.merge(transaction, tenant: tenant, postgres)
      let summary = Summary(tally: tally, stored: stored, storesCreated: created)
      try await transaction.executeCount(
        InsertImport(tenant: tenant, id: .v7(now: now), kind: File.kind, summary: summary, now: now))
      return summary
    }
  }

  /// Streams the good rows into the staging table.
  private func stage(
    _ pieces: some AsyncSequence<ByteBuffer, any Error>, _ transaction: Transaction
  ) async throws -> (ImportTally, StoreNumbers) {
    var text = ImportText(file, limits: limits)
    let command: CopyCommand = "COPY \(unescaped: File.staging.table) FROM STDIN (FORMAT binary)"
    try await transaction.copyIn(command) { writer in
      var rows = ByteBuffer()
      rows.writeCopyHeader()
      watch.waits()
      for try await var piece in pieces {
        watch.works()
        // A message may be megabytes, and gzip a thousand times that: its rows leave before the next are made.
        while let bytes = piece.readBytes(length: min(piece.readableBytes, ImportText<File>.largestPiece)),
          !bytes.isEmpty
        {
          try text.feed(bytes, into: &rows)
          try await writer.write(rows)
          rows.clear()
        }
        watch.waits()
      }
      watch.works()
      try text.finish(into: &rows)
      try await writer.write(rows)
    }
    return (text.tally, text.stores)
  }

  /// Makes `import_stores`, which tells the store of each number, creating stores seen for the first time.
  /// - Returns: how many were created.
  private func settle(_ stores: StoreNumbers, _ transaction: Transaction) async throws -> Int {
    // Two imports of a tenant that touch the same new stores would wait for each other; one after the other they
    // cannot deadlock.
    _ = try await transaction.execute(LockImports(tenant: tenant))
    let kept = stores.all
    try await transaction.execute(sql: ImportStores.create, name: "CreateImportStores")
    var created = 0
    do {
      for start in stride(from: 0, to: kept.count, by: 10_000) {
        let some = kept[start..<min(start + 10_000, kept.count)]
        let names = some.map(\.name)
        created += try await transaction.executeCount(
          CreateImportedStores(
            tenant: tenant, ids: names.map { _ in UUID.v7(now: now) }, names: names,
            asIDs: names.map { UUID($0) }, now: now))
        try await transaction.executeCount(
          ResolveImportedStores(
            tenant: tenant, numbers: some.map(\.number), names: names, asIDs: names.map { UUID($0) }))
      }
    } catch let error as PostgresError where error.sqlState == .notNullViolation {
      throw ImportError.storeDeleted.rpcError
    }
    try await transaction.execute(sql: "ANALYZE import_stores", name: "AnalyzeImportStores")
    return created
  }
}

/// Which store each number of a file stands for. None is null: such a store was deleted between its creation, which
/// found it there, and now.
enum ImportStores {
  static let create =
    "CREATE TEMPORARY TABLE import_stores (number int4, store_id uuid NOT NULL) ON COMMIT DROP"
}

/// Held until the transaction ends. The second key sets these locks apart from others on the same tenant.
struct LockImports: Statement {
  static let name = "LockImports"
  static let sql = "SELECT pg_advisory_xact_lock(hashtext('store.imports'), hashtext($1::text))"
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant.description) }
}

/// A file may call a store by its external id or, where there is none of that, by the id we gave it.
struct CreateImportedStores: Statement {
  static let name = "CreateImportedStores"
  static let sql = """
    INSERT INTO store.stores (tenant_id, store_id, name, timezone, external_id, created_at, updated_at)
    SELECT $1, seen.id, seen.name, '\(TimeZones.defaultName)', seen.name, $5, $5
    FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS seen (id, name, as_id)
    WHERE NOT EXISTS (SELECT 1 FROM store.stores AS known
                      WHERE known.tenant_id = $1 AND known.store_id = seen.as_id)
    ON CONFLICT (tenant_id, external_id) DO NOTHING
    """
  var tenant: UUID
  var ids: [UUID]
  var names: [String]
  var asIDs: [UUID?]
  var now: PostgresTimestamp
  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(ids)
    bindings.append(names)
    bindings.append(asIDs)
    bindings.append(now)
  }
}

/// Locks the stores against deletion until the import is done.
struct ResolveImportedStores: Statement {
  static let name = "ResolveImportedStores"
  static let sql = """
    WITH seen AS (
      SELECT * FROM unnest($2::int4[], $3::text[], $4::uuid[]) AS seen (number, name, as_id)
    ), known AS (
      SELECT store_id, external_id FROM store.stores
      WHERE tenant_id = $1 AND (external_id = ANY ($3) OR store_id = ANY ($4))
      ORDER BY store_id FOR KEY SHARE
    )
    INSERT INTO import_stores (number, store_id)
    SELECT seen.number, coalesce(named.store_id, identified.store_id)
    FROM seen LEFT JOIN known AS named ON named.external_id = seen.name
      LEFT JOIN known AS identified ON identified.store_id = seen.as_id
    """
  var tenant: UUID
  var numbers: [Int32]
  var names: [String]
  var asIDs: [UUID?]
  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(numbers)
    bindings.append(names)
    bindings.append(asIDs)
  }
}

struct InsertImport: Statement {
  static let name = "InsertImport"
  static let sql = """
    INSERT INTO store.imports
      (tenant_id, import_id, kind, rows, accepted, duplicates, rejected, stores_created, completed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    """
  var tenant: UUID
  var id: UUID
  var kind: String
  var rows: Int
  var stored: Int
  var duplicates: Int
  var rejected: Int
  var storesCreated: Int
  var now: PostgresTimestamp

  init<File>(
    tenant: UUID, id: UUID, kind: String, summary: ImportRun<File>.Summary, now: PostgresTimestamp
  ) {
    self.tenant = tenant
    self.id = id
    self.kind = kind
    rows = summary.tally.rows
    stored = summary.stored
    duplicates = summary.duplicates
    rejected = summary.tally.rejected
    storesCreated = summary.storesCreated
    self.now = now
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(kind)
    bindings.append(rows)
    bindings.append(stored)
    bindings.append(duplicates)
    bindings.append(rejected)
    bindings.append(storesCreated)
    bindings.append(now)
  }
}
