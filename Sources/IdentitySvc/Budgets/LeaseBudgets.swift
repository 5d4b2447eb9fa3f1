import MainstreetAPI
import Postgres
import RPC

extension AccessService {
  func leaseBudgets(_ request: LeaseBudgetsRequest, _ context: CallContext) async throws
    -> LeaseBudgetsResponse
  {
    guard Set(request.budgets.map(\.budget)).count == request.budgets.count else {
      throw BudgetError.namedTwice.rpcError
    }
    let leased = try await postgres.execute(
      TakeBudgets(budgets: request.budgets), tenant: nil, deadline: context.deadline)
    let rows = Dictionary(leased.map { ($0.budget, $0) }) { $1 }
    return LeaseBudgetsResponse(
      leases: try request.budgets.map { asked in
        guard let row = rows[asked.budget] else { throw RPCError(.internal, "a budget was not leased") }
        return BudgetLease(row, perMinute: Int64(asked.perMinute))
      })
  }
}

/// Why no part of a budget can be had.
enum BudgetError: Error, Hashable {
  case namedTwice

  var rpcError: RPCError {
    switch self {
    case .namedTwice:
      RPCError(
        .invalidArgument, "a budget is named twice", reason: "VALIDATION_FAILED",
        violations: [
          FieldViolation(field: "budgets", code: "NOT_UNIQUE", message: "must name each budget once")
        ])
    }
  }
}

extension BudgetLease {
  /// What was leased counts for so long: longer, and an Edge could let through in one minute what it was given in the
  /// one before.
  static let life = Duration.seconds(5)
  /// A level is counted in these, so that a microsecond refills a whole number: calls a minute.
  private static let unitsPerCall: Int64 = 60_000_000

  fileprivate init(_ row: TakeBudgets.Row, perMinute: Int64) {
    self.init(
      granted: UInt32(clamping: row.granted), expiresAt: Timestamp(row.at + Self.life),
      remaining: UInt32(clamping: row.level / Self.unitsPerCall))
    guard row.granted == 0 else { return }
    let missing = max(0, Self.unitsPerCall - row.level)
    availableAt = Timestamp(row.at + .microseconds((missing + perMinute - 1) / perMinute))
  }
}

/// One statement for all of them. The clock is the database's: instances need not agree on theirs.
struct TakeBudgets: Statement {
  static let name = "TakeBudgets"
  static let sql = "SELECT budget, granted, level, at FROM identity.lease_budgets($1, $2, $3, $4)"
  var budgets: [BudgetRequest]

  struct Row: Sendable {
    var budget: String
    var granted: Int64
    var level: Int64
    var at: Instant
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(budgets.map(\.budget))
    bindings.append(budgets.map { Int64($0.perMinute) })
    bindings.append(budgets.map { Int64($0.wanted) })
    bindings.append(budgets.map { Int64($0.returned) })
  }

  static func decode(_ row: inout RowReader) throws -> Row {
    Row(budget: try row.next(), granted: try row.next(), level: try row.next(), at: try row.next())
  }
}
