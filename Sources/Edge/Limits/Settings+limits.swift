import MainstreetAPI
import Schema
import ServiceKit

extension Setting {
  /// What the Edge can be told about limits.
  static let limits = [
    Setting(
      "limits.ingest", default: "1000", help: "Calls a minute of machines that send: polls, events, imports."),
    Setting("limits.query", default: "100", help: "Calls a minute that read."),
    Setting(
      "limits.auth", default: "10",
      help: "Calls a minute to sign in and the like, of an address or an account."),
    Setting("limits.write", default: "300", help: "Calls a minute of people who change something."),
    Setting(
      "limits.premium.factor", default: "10", help: "How many times that a tenant of the plan premium may."),
    Setting(
      "limits.key.percent", default: "100",
      help: "How much of its tenant's budget one key or account may use, in percent."),
    Setting(
      "limits.shared", default: "true",
      help: "Share the budgets with other Edges, through IdentitySvc; false where there is one Edge."),
    Setting(
      "limits.edges", default: "1",
      help: "How many Edges there are. Each lets through its part while IdentitySvc cannot be asked."),
  ]
}

/// How many calls a minute there are for whom.
struct BudgetSizes: Sendable {
  var standard: [MethodAccess.RateClass: Int] = [.ingest: 1000, .query: 100, .auth: 10, .write: 300]
  var premiumFactor = 10
  var keyPercent = 100

  func perMinute(_ rateClass: MethodAccess.RateClass, of caller: Caller?) -> Int {
    let standard = standard[rateClass] ?? 1
    guard let caller else { return standard }
    let own =
      caller.ownLimits[rateClass.name] ?? (caller.plan == .premium ? standard * premiumFactor : standard)
    return min(max(1, own), TokenBucket.maxPerMinute)
  }
}

extension MethodAccess.RateClass {
  /// As limits, budgets and header fields call it.
  var name: String {
    switch self {
    case .ingest: "ingest"
    case .query: "query"
    case .auth: "auth"
    case .write: "write"
    }
  }
}

extension Settings {
  func budgetSizes() throws -> BudgetSizes {
    var sizes = BudgetSizes()
    for rateClass in sizes.standard.keys {
      sizes.standard[rateClass] = try int("limits.\(rateClass.name)", in: 1...TokenBucket.maxPerMinute)
    }
    sizes.premiumFactor = try int("limits.premium.factor", in: 1...1000)
    sizes.keyPercent = try int("limits.key.percent", in: 1...100)
    return sizes
  }

  func rateLimits() throws -> RateLimits.Configuration {
    var configuration = RateLimits.Configuration()
    configuration.isShared = try bool("limits.shared")
    configuration.edges = try int("limits.edges", in: 1...1000)
    return configuration
  }
}
