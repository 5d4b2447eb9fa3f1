import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension StoreService {
  func getReport(_ request: GetReportRequest, _ context: CallContext) async throws -> Report {
    try await report(request.reportId, tenant: tenant(of: context), context)
  }

  func report(_ reportID: String, tenant: UUID, _ context: CallContext) async throws -> Report {
    let find = FindReport(tenant: tenant, id: try id(reportID, field: "report_id"))
    guard let report = try await postgres.executeOne(find, tenant: tenant, deadline: context.deadline) else {
      throw ReportError.notFound(reportID).rpcError
    }
    return report
  }
}

/// One statement sees report and job at one moment.
struct FindReport: Statement {
  static let name = "FindReport"
  static let sql = """
    SELECT r.report_id, s.status,
      CASE s.status WHEN 'complete' THEN 1 WHEN 'running' THEN j.progress ELSE 0 END, r.as_of,
      r.engine_version, r.row_count, r.created_at,
      CASE WHEN s.status IN ('complete', 'failed') THEN coalesce(r.completed_at, j.finished_at) END,
      CASE s.status WHEN 'failed' THEN coalesce(r.failure_reason, \(ReportJob.reason)) END
    FROM store.reports AS r \(ReportJob.join)
      CROSS JOIN LATERAL (
        SELECT CASE
          WHEN r.status = 'complete' THEN 'complete'
          WHEN j.station = 'running' THEN 'running'
          WHEN j.station IN ('ready', 'scheduled', 'blocked') THEN 'queued'
          ELSE 'failed'
        END) AS s (status)
    WHERE r.tenant_id = $1 AND r.report_id = $2
    """
  static let isIdempotent = true
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }

  static func decode(_ row: inout RowReader) throws -> Report {
    Report(
      reportId: try row.next(UUID.self).description, status: ReportStatus(found: try row.next()),
      progress: try row.next(), asOf: try row.next(PostgresTimestamp?.self).map { Timestamp($0) },
      policy: .step, engineVersion: try row.next(), rowCount: try row.next(),
      createdAt: Timestamp(try row.next(PostgresTimestamp.self)),
      completedAt: try row.next(PostgresTimestamp?.self).map { Timestamp($0) },
      failureReason: try row.next())
  }
}

extension ReportStatus {
  fileprivate init(found: String) {
    self =
      switch found {
      case "queued": .queued
      case "running": .running
      case "complete": .complete
      case "failed": .failed
      default: .unspecified
      }
  }
}
