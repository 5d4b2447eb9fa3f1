import MainstreetAPI
import NIOCore
import Postgres
import RPC

extension StoreService {
  func downloadReport(
    _ request: DownloadReportRequest, _ responses: ResponseWriter<HttpBody>, _ context: CallContext
  ) async throws {
    let tenant = try tenant(of: context)
    let report = try await report(request.reportId, tenant: tenant, context)
    switch report.status {
    case .complete:
      context.setInitialMetadata(
        "http-content-disposition", "attachment; filename=report-\(report.reportId).csv")
      try await download(request, tenant: tenant, responses, context)
    case .failed:
      let reason = Self.quoted(report.failureReason ?? "INTERNAL")
      try await responses.write(.json(#"{"status":"Failed","reason":\#(reason)}"#))
    default:
      try await responses.write(.json(#"{"status":"Running","progress":\#(report.progress)}"#))
    }
  }

  /// A chunk is read when the one before has gone out.
  private func download(
    _ request: DownloadReportRequest, tenant: UUID, _ responses: ResponseWriter<HttpBody>,
    _ context: CallContext
  ) async throws {
    let id = try id(request.reportId, field: "report_id")
    var ordinal: Int32 = 0
    while let bytes = try await postgres.executeOne(
      FindReportChunk(tenant: tenant, id: id, ordinal: ordinal), tenant: tenant, deadline: context.deadline)
    {
      try await responses.write(
        HttpBody(contentType: ordinal == 0 ? "text/csv; charset=utf-8" : "", data: bytes))
      ordinal += 1
    }
    // Chunks go only with their report, when newer ones push it out. A file cut short by that must not look whole.
    _ = try await report(request.reportId, tenant: tenant, context)
  }

  /// As a JSON string. Reasons are ours, but a zone's name in one may be anything.
  private static func quoted(_ text: String) -> String {
    var json = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": json += "\\\(scalar)"
      case _ where scalar.value < 0x20: json += "\u{FFFD}"
      default: json.unicodeScalars.append(scalar)
      }
    }
    return json + "\""
  }
}

extension HttpBody {
  static func json(_ text: String) -> HttpBody {
    HttpBody(contentType: "application/json", data: ByteBuffer(string: text))
  }
}

struct FindReportChunk: Statement {
  static let name = "FindReportChunk"
  static let sql = """
    SELECT bytes FROM store.report_chunks WHERE tenant_id = $1 AND report_id = $2 AND ordinal = $3
    """
  static let isIdempotent = true
  var tenant: UUID
  var id: UUID
  var ordinal: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(ordinal)
  }

  static func decode(_ row: inout RowReader) throws -> ByteBuffer { try row.next() }
}
