import Postgres
import RPC
import ServiceKit

extension ServerInterceptor {
  static let databaseErrors = databaseErrors { error in
    // The only limit of its own that the schema raises: ensure_poll_partitions.
    guard error.sqlState == .programLimitExceeded else { return nil }
    return RPCError(
      .invalidArgument, "the polls are of more than 120 months that had none; send fewer at once",
      reason: "TOO_MANY_MONTHS")
  }
}
