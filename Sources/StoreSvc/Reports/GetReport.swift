import MainstreetAPI
import Postgres
import RPC

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

struct FindReport: Statement {
  static let name = "FindReport"
  static let sql = """
    SELECT report_id, status, progress, as_of, engine_version, row_count, created_at, completed_at,
      failure_reason
    FROM store.reports WHERE tenant_id = $1 AND report_id = $2
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
      reportId: try row.next(UUID.self).description, status: ReportStatus(stored: try row.next()),
      progress: try row.next(), asOf: try row.next(PostgresTimestamp?.self).map { Timestamp($0) },
      policy: .step, engineVersion: try row.next(), rowCount: try row.next(),
      createdAt: Timestamp(try row.next(PostgresTimestamp.self)),
      completedAt: try row.next(PostgresTimestamp?.self).map { Timestamp($0) },
      failureReason: try row.next())
  }
}

extension ReportStatus {
  init(stored: String) {
    self =
      switch stored {
      case "queued": .queued
      case "running": .running
      case "complete": .complete
      case "failed": .failed
      default: .unspecified
      }
  }
}
