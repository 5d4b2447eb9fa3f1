import Jobs
import NIOCore
import Postgres
import TimeZones

/// Computes a report: settle asOf → read stores → stream polls through the engine → save.
struct ComputeReport {
  let postgres: PostgresClient
  let zones: TimeZones
  let tenant: UUID
  /// Has the report's id.
  let job: JobContext

  private static let chunkSize = 1 << 20

  /// - Returns: how many rows the report has.
  func run() async throws -> Int {
    let begin = BeginReport(tenant: tenant, id: job.id)
    // Newer reports may have pushed it out while its job was dead.
    guard let order = try await postgres.executeOne(begin, tenant: tenant) else { return 0 }
    let windows = ReportWindows(asOf: Instant(order.asOf))
    let (csv, rowCount) = try await compute(windows, order.storeIDs)
    try await save(csv, rowCount)
    return rowCount
  }

  /// Stores and polls are read from one snapshot, so that a report never mixes before and after.
  private func compute(
    _ windows: ReportWindows, _ storeIDs: [UUID]?
  ) async throws -> (csv: [UInt8], rowCount: Int) {
    let options = TransactionOptions(
      isolation: .repeatableRead, isReadOnly: true, statementTimeout: .minutes(30))
    return try await postgres.transaction(tenant: tenant, options: options) { transaction in
      let stores = try await transaction.execute(
        LoadReportStores(tenant: tenant, weekStart: windows.weekStart.timestamp, storeIDs: storeIDs))
      var builder = try ReportBuilder(stores: stores, windows: windows) { [zones] in try zones.rules($0) }
      try await transaction.copyOut(polls(windows, isPart: storeIDs != nil)) { chunks in
        var rows = PollRows()
        for try await chunk in chunks {
          try rows.forEach(in: chunk) { store, at, isActive in
            try builder.poll(store: store, at: at, isActive: isActive)
          }
          job.progress(builder.progress)
        }
      }
      return try builder.finish()
    }
  }

  private func polls(_ windows: ReportWindows, isPart: Bool) -> CopyCommand {
    let (start, end) = (windows.weekStart.timestamp, windows.asOf.timestamp)
    if isPart {
      return """
        COPY (SELECT p.store_id, p.at, p.is_active FROM store.polls p
              WHERE p.tenant_id = \(tenant) AND p.at > \(start) AND p.at <= \(end)
                AND p.store_id IN (SELECT unnest(r.store_ids) FROM store.reports r
                                   WHERE r.tenant_id = \(tenant) AND r.report_id = \(job.id))
              ORDER BY p.store_id, p.at) TO STDOUT (FORMAT binary)
        """
    }
    return """
      COPY (SELECT p.store_id, p.at, p.is_active FROM store.polls p
            WHERE p.tenant_id = \(tenant) AND p.at > \(start) AND p.at <= \(end)
            ORDER BY p.store_id, p.at) TO STDOUT (FORMAT binary)
      """
  }

  /// The chunks, the word that they are complete and the end of the job appear together, if the job is still ours.
  private func save(_ csv: [UInt8], _ rowCount: Int) async throws {
    try await postgres.transaction(tenant: tenant) { transaction in
      try await job.complete(in: transaction)
      let completed = try await transaction.executeCount(
        CompleteReport(
          tenant: tenant, id: job.id, engineVersion: ReportBuilder.engineVersion, rowCount: rowCount))
      guard completed == 1 else { return }
      for (ordinal, start) in stride(from: 0, to: csv.count, by: Self.chunkSize).enumerated() {
        let bytes = ByteBuffer(bytes: csv[start..<min(start + Self.chunkSize, csv.count)])
        try await transaction.executeCount(
          InsertReportChunk(tenant: tenant, id: job.id, ordinal: Int32(ordinal), bytes: bytes))
      }
      try await transaction.executeCount(DeleteOldReports(tenant: tenant))
    }
  }
}

/// Opens the report again if it had failed before. Without an asOf of its own it ends at the tenant's newest poll; settled
/// once, so that every attempt computes the same.
struct BeginReport: Statement {
  static let name = "BeginReport"
  static let sql = """
    UPDATE store.reports AS r
    SET status = 'open', failure_reason = NULL, completed_at = NULL,
      as_of = coalesce(
        r.as_of,
        (SELECT max(newest.at) FROM store.stores s CROSS JOIN LATERAL (
           SELECT p.at FROM store.polls p WHERE p.tenant_id = s.tenant_id AND p.store_id = s.store_id
           ORDER BY p.at DESC LIMIT 1) AS newest
         WHERE s.tenant_id = $1),
        r.created_at)
    WHERE r.tenant_id = $1 AND r.report_id = $2 AND r.status <> 'complete'
    RETURNING r.as_of, r.store_ids
    """
  static let isIdempotent = true
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }

  static func decode(_ row: inout RowReader) throws -> (asOf: PostgresTimestamp, storeIDs: [UUID]?) {
    (try row.next(), try row.next())
  }
}

struct LoadReportStores: Statement {
  static let name = "LoadReportStores"
  static let sql = """
    SELECT s.store_id, s.external_id, s.timezone,
      ARRAY(SELECT \(StoredHours.packedSQL) FROM store.business_hours h
            WHERE h.tenant_id = s.tenant_id AND h.store_id = s.store_id),
      (SELECT p.is_active FROM store.polls p
       WHERE p.tenant_id = s.tenant_id AND p.store_id = s.store_id AND p.at <= $2
       ORDER BY p.at DESC LIMIT 1)
    FROM store.stores s
    WHERE s.tenant_id = $1 AND ($3::uuid[] IS NULL OR s.store_id = ANY ($3))
    ORDER BY s.store_id
    """
  static let isIdempotent = true
  var tenant: UUID
  var weekStart: PostgresTimestamp
  var storeIDs: [UUID]?

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(weekStart)
    bindings.append(storeIDs)
  }

  static func decode(_ row: inout RowReader) throws -> ReportStore {
    let id: UUID = try row.next()
    let externalID: String? = try row.next()
    let zone: String = try row.next()
    let hours: [Int64] = try row.next()
    return ReportStore(
      id: id, label: externalID ?? id.description, zone: zone,
      schedule: WeeklySchedule(hours.compactMap { StoredHours(packed: $0).interval }),
      carriedIn: try row.next())
  }
}

struct CompleteReport: Statement {
  static let name = "CompleteReport"
  static let sql = """
    UPDATE store.reports
    SET status = 'complete', engine_version = $3, row_count = $4, failure_reason = NULL, completed_at = now()
    WHERE tenant_id = $1 AND report_id = $2 AND status <> 'complete'
    """
  var tenant: UUID
  var id: UUID
  var engineVersion: String
  var rowCount: Int

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(engineVersion)
    bindings.append(rowCount)
  }
}

/// A tenant keeps its newest finished reports, complete or failed; the others go, with their chunks.
struct DeleteOldReports: Statement {
  static let name = "DeleteOldReports"
  static let mostFinished = 100
  static let sql = """
    DELETE FROM store.reports
    WHERE tenant_id = $1 AND report_id IN (
      SELECT report_id FROM store.reports WHERE tenant_id = $1 AND completed_at IS NOT NULL
      ORDER BY completed_at DESC, report_id DESC OFFSET \(mostFinished))
    """
  var tenant: UUID

  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}

struct InsertReportChunk: Statement {
  static let name = "InsertReportChunk"
  static let sql =
    "INSERT INTO store.report_chunks (tenant_id, report_id, ordinal, bytes) VALUES ($1, $2, $3, $4)"
  var tenant: UUID
  var id: UUID
  var ordinal: Int32
  var bytes: ByteBuffer

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(ordinal)
    bindings.append(bytes)
  }
}
