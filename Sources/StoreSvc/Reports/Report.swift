import RPC

/// Why something about a report cannot be done.
enum ReportError: Error, Hashable {
  case notFound(String)
  case asOfInFuture
  case badAsOf
  case unknownStore(String)
  case tooManyOpen(Int)
  case tooManyChanges

  var rpcError: RPCError {
    switch self {
    case .notFound(let id):
      RPCError(.notFound, "there is no report \(id)", reason: "REPORT_NOT_FOUND", details: ["reportId": id])
    case .asOfInFuture: Self.asOf("AS_OF_IN_FUTURE", "must not be more than 5 minutes in the future")
    case .tooManyOpen(let limit):
      RPCError(
        .resourceExhausted, "\(limit) reports are waiting or running already; try again when one is complete",
        reason: "TOO_MANY_REPORTS", retryAfter: .seconds(10))
    case .tooManyChanges:
      RPCError(
        .resourceExhausted, "the store changed \(LoadPolls.most) times or more in the hour",
        reason: "TOO_MANY_CHANGES")
    case .badAsOf: Self.asOf("INVALID_TIMESTAMP", "must lie between the years 1970 and 9999")
    case .unknownStore(let id):
      RPCError(
        .invalidArgument, "there is no store \(id)", reason: "STORE_NOT_FOUND", details: ["storeId": id])
    }
  }

  private static func asOf(_ code: String, _ message: String) -> RPCError {
    RPCError(
      .invalidArgument, "as_of \(message)", reason: code,
      violations: [FieldViolation(field: "as_of", code: code, message: message)])
  }
}
