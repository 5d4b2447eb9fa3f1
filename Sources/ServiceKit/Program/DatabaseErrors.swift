package import Postgres
package import RPC

extension ServerInterceptor {
  /// Database failures reach callers as the statuses they are, without what Postgres says about them. Any other
  /// unknown error stays what it is.
  /// - Parameter own: what an error means that only this service's schema raises; asked first.
  package static func databaseErrors(
    _ own: @escaping @Sendable (PostgresError) -> RPCError? = { _ in nil }
  ) -> ServerInterceptor {
    mappingErrors { error in (error as? PostgresError).flatMap { own($0) ?? $0.rpcError } }
  }
}

extension PostgresError {
  /// Nil for what a caller can do nothing about: a mistake of ours.
  package var rpcError: RPCError? {
    switch kind {
    case .unavailable, .connectionLost: .databaseUnavailable
    case .queueFull:
      RPCError(.resourceExhausted, "the service is overloaded", reason: "OVERLOADED", retryAfter: .seconds(1))
    case .deadlineExceeded: .databaseTooSlow
    case .server: serverError
    case .decoding, .misuse: nil
    }
  }

  private var serverError: RPCError? {
    switch sqlState {
    case .serializationFailure?, .deadlockDetected?, .lockNotAvailable?:
      RPCError(.aborted, "another change came in between; try again", reason: "CONFLICT")
    case .queryCanceled?: .databaseTooSlow
    case .adminShutdown?, .crashShutdown?, .cannotConnectNow?, .readOnlyTransaction?: .databaseUnavailable
    case .characterNotInRepertoire?:
      RPCError(
        .invalidArgument, "text must be valid UTF-8 and must not hold the character NUL",
        reason: "VALIDATION_FAILED")
    default: nil
    }
  }
}

extension RPCError {
  fileprivate static var databaseUnavailable: RPCError {
    RPCError(
      .unavailable, "the database is not reachable", reason: "DATABASE_UNAVAILABLE", retryAfter: .seconds(1))
  }

  fileprivate static var databaseTooSlow: RPCError {
    RPCError(.deadlineExceeded, "the database did not answer in time", reason: "DEADLINE_EXCEEDED")
  }
}
