import NIOCore
import NIOHTTP1
import RPC
import Schema
import ServiceKit

/// Who may make a call, and how often: finds the caller, checks what the contract asks of one, and counts. All of it before
/// any of the body is read.
struct Gatekeeper: Sendable {
  /// What a call goes on with.
  struct Pass: Sendable {
    /// To be sent as `mainstreet-principal`.
    let principal: String
    let tenant: String?
    /// Of the caller, all that an answer may depend on.
    let audience: String
    /// Empty where the service has no use for it.
    let address: String
    let budgets: [BudgetStatus]
  }

  enum Decision: Sendable {
    case admitted(Pass)
    /// Somebody must be asked first.
    case pending(@Sendable () async throws(Problem) -> Pass)
  }

  let callers: Callers
  let own: ServicePrincipal
  let limits: RateLimits
  var sizes = BudgetSizes()
  /// How many proxies stand in front (`ClientAddress`).
  var proxies = 0

  /// - Throws: 400 or 401 for the credential, 403 for what the caller may not do, 429 for what is too much.
  func admit(_ headers: HTTPHeaders, _ peer: SocketAddress?, _ route: Route) throws(Problem) -> Decision {
    let credential = try Credential.of(headers)
    let address: ClientAddress? =
      route.access == .public || route.isOfIdentity
      ? ClientAddress(headers, peer: peer, proxies: proxies) : nil
    let visit = Visit(route: route, address: address)
    guard let credential else {
      guard route.access == .public else {
        throw .unauthorized("UNAUTHENTICATED", "This route needs an API key or an access token.")
      }
      return try decide(visit, nil)
    }
    let known: Caller?
    do throws(RPCError) {
      known = try callers.recall(credential, address: "")
    } catch {
      return try refused(error, visit)
    }
    if let known { return try admit(visit, known) }
    let asked = address ?? ClientAddress(headers, peer: peer, proxies: proxies)
    return .pending { () async throws(Problem) -> Pass in
      switch try decide(visit, await outcome(of: credential, from: asked)) {
      case .admitted(let pass): return pass
      case .pending(let rest): return try await rest()
      }
    }
  }

  private func outcome(of credential: Credential, from address: ClientAddress) async -> Result<
    Caller, RPCError
  > {
    do throws(RPCError) {
      return .success(try await callers.exchange(credential, address: address.text))
    } catch {
      return .failure(error)
    }
  }

  private func decide(_ visit: Visit, _ outcome: Result<Caller, RPCError>) throws(Problem) -> Decision {
    switch outcome {
    case .success(let caller): try admit(visit, caller)
    case .failure(let error): try refused(error, visit)
    }
  }

  private struct Visit: Sendable {
    let route: Route
    let address: ClientAddress?
  }

  /// A credential that counts for nothing is no obstacle where none is needed: clients send an old token along when they
  /// come to exchange it.
  private func refused(_ error: RPCError, _ visit: Visit) throws(Problem) -> Decision {
    if error.code == .unauthenticated, visit.route.access == .public { return try decide(visit, nil) }
    throw Problem(credential: error)
  }

  private func admit(_ visit: Visit, _ caller: Caller) throws(Problem) -> Decision {
    if let denial = visit.route.access.denial(of: visit.route.name, to: caller.principal) {
      throw Problem(denied: denial, to: caller.principal)
    }
    return try decide(visit, caller)
  }

  // MARK: Counting

  /// Who is known may make the call; now it is counted.
  private func decide(_ visit: Visit, _ caller: Caller?) throws(Problem) -> Decision {
    guard let rateClass = visit.route.rateClass else { return .admitted(try pass(visit, caller, [])) }
    let owner = owner(visit, caller)
    let perMinute = sizes.perMinute(rateClass, of: visit.route.access == .public ? nil : caller)
    let key = BudgetKey(owner: owner, rateClass: rateClass.name)
    var budgets: [BudgetStatus] = []
    let share = share(of: caller, key, perMinute)
    if let share {
      switch limits.takeLocally(share.key, perMinute: share.perMinute) {
      case .allowed(let status): budgets = [status]
      case .exceeded(let status, let wait): throw .quotaExceeded(status, all: [status], retryAfter: wait)
      case .overloaded: throw .overloaded
      }
    }
    let others = budgets
    guard let ruling = limits.take(key, perMinute: perMinute) else {
      return .pending { () async throws(Problem) -> Pass in
        try conclude(await limits.wait(key), visit, caller, others, share?.key)
      }
    }
    return .admitted(try conclude(ruling, visit, caller, others, share?.key))
  }

  private func conclude(
    _ ruling: RateLimits.Ruling, _ visit: Visit, _ caller: Caller?, _ others: [BudgetStatus],
    _ share: BudgetKey?
  ) throws(Problem) -> Pass {
    switch ruling {
    case .allowed(let status): return try pass(visit, caller, [status] + others)
    case .exceeded(let status, let wait):
      if let share { limits.putBack(share) }
      throw .quotaExceeded(status, all: [status] + others, retryAfter: wait)
    case .overloaded: throw .overloaded
    }
  }

  /// Tenants pay for their calls together. Who signs in or changes a password is counted alone, so that nobody keeps
  /// others from it; and where anyone may call, there is only the address to count by.
  private func owner(_ visit: Visit, _ caller: Caller?) -> String {
    guard let caller, visit.route.access != .public else { return "address:\(visit.address?.network ?? "")" }
    return visit.route.rateClass == .auth || caller.principal.tenant.isEmpty
      ? caller.principal.subject : caller.budgetOwner
  }

  /// One caller's part of the tenant's budget, where it is not all of it.
  private func share(of caller: Caller?, _ key: BudgetKey, _ perMinute: Int) -> (
    key: BudgetKey, perMinute: Int
  )? {
    guard sizes.keyPercent < 100, let caller, key.owner == caller.budgetOwner else { return nil }
    return (
      BudgetKey(owner: caller.principal.subject, rateClass: "\(key.rateClass)-share"),
      max(1, perMinute * sizes.keyPercent / 100)
    )
  }

  private func pass(_ visit: Visit, _ caller: Caller?, _ budgets: [BudgetStatus]) throws(Problem) -> Pass {
    let principal: String
    if let caller { principal = caller.text } else { principal = try ownPrincipal() }
    return Pass(
      principal: principal,
      tenant: caller.flatMap { $0.principal.tenant.isEmpty ? nil : $0.principal.tenant },
      audience: caller?.audience ?? "",
      address: visit.route.isOfIdentity ? visit.address?.text ?? "" : "", budgets: budgets)
  }
}

extension Gatekeeper {
  private func ownPrincipal() throws(Problem) -> String {
    do throws(RPCError) { return try own.text } catch { throw Problem(credential: error) }
  }
}

extension Problem {
  /// What identity says of a credential, or that it cannot be asked.
  fileprivate init(credential error: RPCError) {
    if error.code == .unauthenticated {
      self = .unauthorized(
        error.reason ?? "UNAUTHENTICATED", "\(error.message.capitalizedFirst).", error: "invalid_token")
    } else {
      self.init(Problem.status(of: error.code), error.reason ?? Problem.code(of: error.code), error.message)
      headers = [("Retry-After", "1")]
    }
  }

  fileprivate init(denied error: RPCError, to principal: Principal) {
    self = .unauthorized(
      error.reason ?? "PERMISSION_DENIED", "\(error.message).", error: "insufficient_scope",
      scope: principal.isKey ? error.details["scopes"]?.replacing(",", with: " ") : nil, status: 403)
    extensions = error.details.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  fileprivate static var overloaded: Problem {
    var problem = Problem(503, "OVERLOADED", "Too much is going on here at the moment; try again.")
    problem.headers = [("Retry-After", "1")]
    return problem
  }
}

extension String {
  fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
