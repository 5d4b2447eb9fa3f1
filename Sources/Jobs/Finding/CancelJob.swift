package import Postgres

/// What calling a job off came to.
package enum JobCancellation: String, Sendable, Hashable {
  /// It waited, and is over.
  case cancelled
  /// It runs, and its worker is told; what comes of that is seen by `find`.
  case requested
  /// It had ended before.
  case finished
  case unknown
}

extension Jobs {
  /// Calls a job off.
  /// - Parameter tenant: whose job it must be; nil for anybody's.
  package func cancel(_ id: UUID, tenant: UUID?) async throws -> JobCancellation {
    let answer = try await postgres.executeOne(CancelJob(id: id, tenant: tenant), tenant: nil) ?? .unknown
    if answer == .requested { wake([Doorbells.cancellations]) }
    return answer
  }
}

/// See jobs_cancel.
struct CancelJob: Statement {
  static let name = "CancelJob"
  static let sql = "SELECT answer FROM jobs_cancel($1, $2)"
  static let isIdempotent = true
  var id: UUID
  var tenant: UUID?

  func bind(into bindings: inout Bindings) {
    bindings.append(id)
    bindings.append(tenant)
  }

  static func decode(_ row: inout RowReader) throws -> JobCancellation {
    JobCancellation(rawValue: try row.next()) ?? .unknown
  }
}
