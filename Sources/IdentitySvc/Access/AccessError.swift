import RPC

/// Why a credential counts for nothing.
enum AccessError: Error, Hashable {
  case noCredential
  case unknownKey
  case revokedKey
  case expiredKey
  case badToken
  case expiredToken
  case endedSession
  case notMember
  case badServiceSecret
  case noSigningKey

  var rpcError: RPCError {
    switch self {
    case .noCredential:
      RPCError(
        .invalidArgument, "there is no credential to exchange", reason: "VALIDATION_FAILED",
        violations: [
          FieldViolation(field: "credential", code: "REQUIRED", message: "must be one of its fields")
        ])
    case .unknownKey: Self.refused("the API key is not known", "INVALID_API_KEY")
    case .revokedKey: Self.refused("the API key has been revoked", "API_KEY_REVOKED")
    case .expiredKey: Self.refused("the API key has expired", "API_KEY_EXPIRED")
    case .badToken: Self.refused("the access token is none of ours", "INVALID_TOKEN")
    case .expiredToken: Self.refused("the access token has expired", "TOKEN_EXPIRED")
    case .endedSession: Self.refused("the session has ended; sign in again", "SESSION_ENDED")
    case .notMember: Self.refused("the account has no place in the tenant any more", "NOT_A_MEMBER")
    case .badServiceSecret:
      Self.refused("no program of this name has this secret", "INVALID_SERVICE_SECRET")
    case .noSigningKey:
      RPCError(
        .unavailable, "there is no signing key", reason: "IDENTITY_UNAVAILABLE", retryAfter: .seconds(1))
    }
  }

  private static func refused(_ message: String, _ reason: String) -> RPCError {
    RPCError(.unauthenticated, message, reason: reason)
  }
}
