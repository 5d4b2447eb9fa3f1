import RPC

/// Why something about an API key cannot be done.
enum ApiKeyError: Error, Hashable {
  case notFound
  case notWorking
  case inRotation
  case expiryInPast
  case scopesExceedOwn([String])
  case tooMany(Int)

  var rpcError: RPCError {
    switch self {
    case .notFound: RPCError(.notFound, "there is no such API key", reason: "API_KEY_NOT_FOUND")
    case .notWorking:
      RPCError(
        .failedPrecondition, "the API key has been revoked or has expired", reason: "API_KEY_NOT_WORKING")
    case .inRotation:
      RPCError(
        .failedPrecondition, "two keys of this line work already; revoke one of them first",
        reason: "API_KEY_IN_ROTATION")
    case .expiryInPast:
      RPCError(
        .invalidArgument, "the key would have expired already", reason: "VALIDATION_FAILED",
        violations: [FieldViolation(field: "expires_at", code: "IN_PAST", message: "must lie in the future")])
    case .scopesExceedOwn(let scopes):
      RPCError(
        .permissionDenied, "a key gives no scope it does not have: \(scopes.joined(separator: ", "))",
        reason: "SCOPE_EXCEEDS_OWN")
    case .tooMany(let most):
      RPCError(
        .failedPrecondition, "a tenant has no more than \(most) keys that work; revoke some first",
        reason: "TOO_MANY_API_KEYS")
    }
  }
}
