internal import RPC

/// Why something about jobs cannot be done.
enum JobsAdminError: Error, Hashable {
  case noJob(String)
  /// There is none, or it is not dead any more.
  case noDeadJob(String)
  case noQueue(String)
  case noCron(String)
  case badID(String)
  case badTime(String)
  case badCursor
  case badPayload
  case payloadTooLarge
  case emptyFilter
  case foreignTenant

  var rpcError: RPCError {
    switch self {
    case .noJob(let id):
      RPCError(.notFound, "there is no job \(id)", reason: "JOB_NOT_FOUND", details: ["jobId": id])
    case .noDeadJob(let id):
      RPCError(.notFound, "there is no dead job \(id)", reason: "DEAD_JOB_NOT_FOUND", details: ["jobId": id])
    case .noQueue(let name):
      RPCError(.notFound, "there is no queue \(name)", reason: "QUEUE_NOT_FOUND", details: ["queue": name])
    case .noCron(let name):
      RPCError(.notFound, "there is no cron \(name)", reason: "CRON_NOT_FOUND", details: ["name": name])
    case .badID(let field): Self.invalid(field, "INVALID_UUID", "must be a UUID")
    case .badTime(let field):
      Self.invalid(field, "INVALID_TIMESTAMP", "must lie between the years 1970 and 9999")
    case .badCursor: Self.invalid("cursor", "INVALID_CURSOR", "must be a nextCursor of this list")
    case .badPayload: Self.invalid("payload", "INVALID_JSON", "must be JSON, without the character NUL")
    case .payloadTooLarge: Self.invalid("payload", "TOO_LONG", "must take no more than 256 KiB when stored")
    case .emptyFilter: Self.invalid("filter", "REQUIRED", "must say which jobs are meant")
    case .foreignTenant:
      RPCError(
        .permissionDenied, "filter.tenant_id is for platform admins", reason: "PERMISSION_DENIED",
        violations: [
          FieldViolation(
            field: "filter.tenant_id", code: "PERMISSION_DENIED", message: "is for platform admins")
        ])
    }
  }

  private static func invalid(_ field: String, _ code: String, _ message: String) -> RPCError {
    RPCError(
      .invalidArgument, "\(field) \(message)", reason: "VALIDATION_FAILED",
      violations: [FieldViolation(field: field, code: code, message: message)])
  }
}
