import Metrics
import Postgres
import RPC

/// Why a poll was not recorded.
enum PollError: Error, Hashable {
  case inFuture
  case badTimestamp
  case unknownStore(UUID)

  /// How far a poller's clock may be ahead of ours.
  static let toleratedLead: Int64 = 5 * 60 * 1_000_000

  var rejection: Rejection {
    switch self {
    case .inFuture:
      Rejection(code: "POLL_IN_FUTURE", message: "the timestamp is more than 5 minutes in the future")
    case .badTimestamp:
      Rejection(code: "INVALID_TIMESTAMP", message: "the timestamp must lie between the years 1970 and 9999")
    case .unknownStore(let store):
      Rejection(code: "STORE_NOT_FOUND", message: "there is no store \(store)")
    }
  }

  var rpcError: RPCError {
    switch self {
    case .inFuture, .badTimestamp:
      RPCError(
        .invalidArgument, rejection.message, reason: rejection.code,
        violations: [FieldViolation(field: "timestamp", code: rejection.code, message: rejection.message)])
    case .unknownStore: RPCError(.notFound, rejection.message, reason: rejection.code)
    }
  }
}

/// Polls that said otherwise than an earlier one of the same store and instant, which they replaced. The table
/// counts them too, for each poll.
func countReplacedPolls(_ count: Int) {
  Counter(label: "store_polls_replaced_total").increment(by: Int64(count))
}

extension Instant {
  init(_ timestamp: PostgresTimestamp) { self.init(microseconds: timestamp.microseconds) }

  var timestamp: PostgresTimestamp { PostgresTimestamp(microseconds: microseconds) }

  /// Postgres counts from the year 2000.
  static let postgresEpoch: Int64 = 946_684_800_000_000
  var postgresMicroseconds: Int64 { microseconds - Self.postgresEpoch }
}
