import Jobs
import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension StoreService {
  func triggerReport(
    _ request: TriggerReportRequest, _ context: CallContext
  ) async throws -> TriggerReportResponse {
    let tenant = try tenant(of: context)
    let now = now()
    let storeIDs = try request.storeIds.enumerated().map { try id($1, field: "store_ids[\($0)]") }
    let report = OpenReport(
      tenant: tenant, id: .v7(now: now), asOf: try Self.asOf(request.asOf, now: now),
      storeIDs: storeIDs.isEmpty ? nil : storeIDs, now: now)
    return try await idempotency.once(request, context, tenant: tenant) { transaction in
      if !storeIDs.isEmpty {
        let stranger = try await transaction.executeOne(FindMissingStore(tenant: tenant, ids: storeIDs))
        if let stranger { throw ReportError.unknownStore(stranger.description).rpcError }
      }
      let closed = try await transaction.executeCount(CloseDeadReports(tenant: tenant))
      if closed > 0 { try await transaction.executeCount(DeleteOldReports(tenant: tenant)) }
      let opened = try await transaction.executeCount(report)
      guard opened == 1 else { throw ReportError.tooManyOpen(OpenReport.mostOpen).rpcError }
      try await jobs.add(GenerateReport.job(report.id, tenant: tenant), in: transaction)
      return TriggerReportResponse(reportId: report.id.description)
    }
  }

  private static func asOf(
    _ timestamp: Timestamp?, now: PostgresTimestamp
  ) throws(RPCError) -> PostgresTimestamp? {
    guard let timestamp else { return nil }
    guard (0..<253_402_300_800).contains(timestamp.seconds),
      let asOf = PostgresTimestamp(seconds: timestamp.seconds, nanoseconds: timestamp.nanos)
    else { throw ReportError.badAsOf.rpcError }
    guard asOf.microseconds <= now.microseconds + PollError.toleratedLead else {
      throw ReportError.asOfInFuture.rpcError
    }
    return asOf
  }
}

struct FindMissingStore: Statement {
  static let name = "FindMissingStore"
  static let sql = """
    SELECT asked.id FROM unnest($2::uuid[]) AS asked (id)
    WHERE NOT EXISTS (SELECT 1 FROM store.stores s WHERE s.tenant_id = $1 AND s.store_id = asked.id)
    LIMIT 1
    """
  static let isIdempotent = true
  var tenant: UUID
  var ids: [UUID]

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(ids)
  }

  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}

/// Reports whose job ended without success are not open any more: their job's word is kept with them.
struct CloseDeadReports: Statement {
  static let name = "CloseDeadReports"
  static let sql = """
    UPDATE store.reports AS closing
    SET status = 'failed', failure_reason = dead.reason, completed_at = dead.at
    FROM (
      SELECT r.report_id, \(ReportJob.reason) AS reason, coalesce(j.finished_at, now()) AS at
      FROM store.reports AS r \(ReportJob.join)
      WHERE r.tenant_id = $1 AND r.status = 'open' AND coalesce(j.station, 'dead') IN ('dead', 'cancelled')
    ) AS dead
    WHERE closing.tenant_id = $1 AND closing.report_id = dead.report_id AND closing.status = 'open'
    """
  static let isIdempotent = true
  var tenant: UUID

  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}

/// Opens nothing when the tenant has as many already. Those who ask at the same instant may get one or two more in.
struct OpenReport: Statement {
  static let name = "OpenReport"
  static let sql = """
    INSERT INTO store.reports (tenant_id, report_id, status, policy, as_of, store_ids, created_at)
    SELECT $1, $2, 'open', 'step', $3, $4, $5
    WHERE (SELECT count(*) FROM store.reports WHERE tenant_id = $1 AND status = 'open') < \(mostOpen)
    """
  static let mostOpen = 20
  var tenant: UUID
  var id: UUID
  var asOf: PostgresTimestamp?
  var storeIDs: [UUID]?
  var now: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(asOf)
    bindings.append(storeIDs)
    bindings.append(now)
  }
}
