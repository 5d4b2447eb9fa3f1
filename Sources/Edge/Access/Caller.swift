import MainstreetAPI
import RPC
import ServiceKit

/// Who a credential turned out to be of.
final class Caller: Sendable {
  /// To be sent as `mainstreet-principal`.
  let text: String
  let principal: Principal
  /// All that an answer may depend on: who it is, where, and what that may do.
  let audience: String
  /// Whose budget its calls are counted in.
  let budgetOwner: String
  /// What a revocation would name.
  let revocationIDs: [String]
  let plan: Plan
  /// Calls a minute that are this tenant's own, by class; the plan's for the others.
  let ownLimits: [String: Int]

  /// Nil for an answer that says nothing we could rely on.
  init?(_ response: ExchangeCredentialResponse) {
    guard !response.principal.isEmpty, let claims = response.claims, let principal = Principal(claims) else {
      return nil
    }
    text = response.principal
    self.principal = principal
    audience = ([principal.tenant, principal.subject] + principal.roles + ["/"] + principal.scopes)
      .joined(separator: " ")
    budgetOwner = "tenant:\(principal.tenant)"
    revocationIDs = response.revocationIds
    plan = response.plan
    ownLimits = Dictionary(response.rateLimits.map { ($0.rateClass, Int($0.perMinute)) }) { min($0, $1) }
  }
}
