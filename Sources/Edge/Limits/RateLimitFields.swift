import NIOCore

/// `RateLimit-Policy` and `RateLimit` as draft-ietf-httpapi-ratelimit-headers-10 has them: lists of strings with
/// parameters (RFC 9651), an item for each budget that counts.
enum RateLimitFields {
  static func fields(_ budgets: [BudgetStatus]) -> [(name: String, value: String)] {
    guard !budgets.isEmpty else { return [] }
    let policies = budgets.map { "\"\($0.name)\";q=\($0.perMinute);w=60" }
    let limits = budgets.map { "\"\($0.name)\";r=\(max(0, $0.remaining));t=\(seconds($0.untilFull))" }
    return [
      ("RateLimit-Policy", policies.joined(separator: ", ")), ("RateLimit", limits.joined(separator: ", ")),
    ]
  }

  /// Whole seconds, and never sooner than it is so.
  static func seconds(_ time: TimeAmount) -> Int64 {
    max(0, (time.nanoseconds + 999_999_999) / 1_000_000_000)
  }
}

extension Problem {
  /// A budget is spent (the problem type `quota-exceeded` of the same draft).
  static func quotaExceeded(_ budget: BudgetStatus, all: [BudgetStatus], retryAfter: TimeAmount) -> Problem {
    let seconds = max(1, RateLimitFields.seconds(retryAfter))
    var problem = Problem(
      429, "RATE_LIMITED",
      "No more than \(budget.perMinute) calls of the class \(budget.name) a minute; the next one can be made in \(seconds) s."
    )
    problem.headers = RateLimitFields.fields(all) + [("Retry-After", String(seconds))]
    return problem
  }
}
