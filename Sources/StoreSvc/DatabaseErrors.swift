import Postgres
import RPC

extension ServerInterceptor {
  /// Database failures reach callers as the statuses they are, without what Postgres says about them. Any other
  /// unknown error stays what it is.
  static let databaseErrors = mappingErrors { ($0 as? PostgresError)?.rpcError }
}

extension PostgresError {
  /// Nil for what a caller can do nothing about: a mistake of ours.
  fileprivate var rpcError: RPCError? {
    switch kind {
    case .unavailable, .connectionLost:
      RPCError(
        .unavailable, "the database is not reachable", reason: "DATABASE_UNAVAILABLE", retryAfter: .seconds(1)
      )
    case .queueFull:
      RPCError(.resourceExhausted, "the service is overloaded", reason: "OVERLOADED", retryAfter: .seconds(1))
    case .deadlineExceeded:
      RPCError(.deadlineExceeded, "the database did not answer in time", reason: "DEADLINE_EXCEEDED")
    case .server: serverError
    case .decoding, .misuse: nil
    }
  }

  private var serverError: RPCError? {
    switch sqlState {
    case .serializationFailure?, .deadlockDetected?, .lockNotAvailable?:
      RPCError(.aborted, "another change came in between; try again", reason: "CONFLICT")
    case .queryCanceled?:
      RPCError(.deadlineExceeded, "the database did not answer in time", reason: "DEADLINE_EXCEEDED")
    case .adminShutdown?, .crashShutdown?, .cannotConnectNow?, .readOnlyTransaction?:
      RPCError(
        .unavailable, "the database is not reachable", reason: "DATABASE_UNAVAILABLE", retryAfter: .seconds(1)
      )
    case SQLState(rawValue: "54000")?:
      // The only limit of its own that the schema raises: ensure_poll_partitions.
      RPCError(
        .invalidArgument, "the polls are of more than 120 months that had none; send fewer at once",
        reason: "TOO_MANY_MONTHS")
    case SQLState(rawValue: "22021")?:
      RPCError(
        .invalidArgument, "text must be valid UTF-8 and must not hold the character NUL",
        reason: "VALIDATION_FAILED")
    default: nil
    }
  }
}
