internal import RPC

/// Why a call with an idempotency key, or without one, goes no further.
enum IdempotencyError: Error, Hashable {
  case badKey
  case keyRequired
  case noCaller
  case keyReused
  case inProgress

  var rpcError: RPCError {
    switch self {
    case .badKey:
      RPCError(
        .invalidArgument, "idempotency-key must be 1 to 255 printable ASCII characters",
        reason: "INVALID_IDEMPOTENCY_KEY")
    case .keyRequired:
      RPCError(
        .invalidArgument, "this call needs an idempotency-key", reason: "IDEMPOTENCY_KEY_REQUIRED")
    case .noCaller:
      RPCError(
        .invalidArgument, "an idempotency-key is its caller's, and this call does not say whose it is",
        reason: "IDEMPOTENCY_KEY_UNSUPPORTED")
    case .keyReused:
      // 422 in HTTP, for which gRPC has no code of its own.
      RPCError(
        .failedPrecondition, "the idempotency-key was used for another request",
        reason: "IDEMPOTENCY_KEY_REUSED")
    case .inProgress:
      RPCError(
        .aborted, "the first call with this idempotency-key has not ended; try again",
        reason: "IDEMPOTENCY_IN_PROGRESS", retryAfter: .seconds(1))
    }
  }
}
