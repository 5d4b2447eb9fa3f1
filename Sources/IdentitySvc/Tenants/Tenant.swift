import MainstreetAPI
import RPC

/// Why something about a tenant cannot be done.
enum TenantError: Error, Hashable {
  case notFound
  case slugTaken(String)
  case signUpClosed
  case unknownTimezone(String)
  case badSettings

  var rpcError: RPCError {
    switch self {
    case .notFound: RPCError(.notFound, "there is no such tenant", reason: "TENANT_NOT_FOUND")
    case .slugTaken(let slug):
      RPCError(
        .alreadyExists, "another tenant has the slug \"\(slug)\"", reason: "SLUG_TAKEN",
        details: ["slug": slug])
    case .signUpClosed:
      RPCError(
        .permissionDenied, "tenants are opened by the platform's admins here", reason: "SIGN_UP_CLOSED")
    case .unknownTimezone(let name):
      RPCError(
        .invalidArgument, "\"\(name)\" is not a zone of the IANA database", reason: "UNKNOWN_TIMEZONE",
        violations: [
          FieldViolation(
            field: "timezone", code: "UNKNOWN_TIMEZONE", message: "must be a zone of the IANA database")
        ])
    case .badSettings:
      RPCError(
        .invalidArgument, "settings must be a JSON object of at most 16 KiB", reason: "VALIDATION_FAILED",
        violations: [
          FieldViolation(
            field: "settings", code: "INVALID_JSON", message: "must be a JSON object of at most 16 KiB")
        ])
    }
  }
}

extension Plan {
  /// As the database has it.
  init(stored text: String) { self = text == "premium" ? .premium : .free }
}
