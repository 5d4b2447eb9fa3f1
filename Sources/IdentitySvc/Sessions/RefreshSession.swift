import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func refreshSession(_ request: RefreshSessionRequest, _ context: CallContext) async throws
    -> RefreshSessionResponse
  {
    let caller = Caller(context)
    let old = TokenHash(of: request.refreshToken)
    let new = OpaqueToken.random(.refresh)
    let now = now()
    // What refuses may have ended the session, which is to last: so it is returned, not thrown.
    let outcome = try await postgres.transaction(tenant: nil, deadline: context.deadline) { transaction in
      let session = try await transaction.executeOne(LockSession(hash: old))
      switch (RefreshRules.decide(session?.token, now: now), session) {
      case (.rotate, let session?):
        return try await rotate(session, from: old, to: new, caller: caller, now: now, in: transaction)
      case (.end, let session?):
        try await transaction.executeCount(ActFor(tenant: session.tenant ?? .noTenant))
        try await transaction.end(session, because: .reused, action: .sessionReused, by: caller, now: now)
        return Result.failure(SessionError.reused)
      case (.refuse(let error), _): return .failure(error)
      case (_, nil): return .failure(.unknownToken)
      }
    }
    switch outcome {
    case .failure(let error): throw error.rpcError
    case .success(let refreshed):
      return RefreshSessionResponse(
        token: try await accessToken(refreshed), refreshToken: new.text, expiresIn: AccessTokens.lifeSeconds)
    }
  }

  private func rotate(
    _ session: LockSession.Row, from old: TokenHash, to new: OpaqueToken, caller: Caller, now: Instant,
    in transaction: Transaction
  ) async throws -> Result<RefreshedSession, SessionError> {
    let standing = try await transaction.executeOne(FindSessionStanding(session: session.id))
    guard let standing, standing.standing(of: session.id) != nil else {
      // The account has lost its place there.
      try await transaction.executeCount(ActFor(tenant: session.tenant ?? .noTenant))
      try await transaction.end(session, because: .memberRemoved, action: .sessionEnded, by: caller, now: now)
      return .failure(.ended)
    }
    try await transaction.executeCount(RotateToken(session: session.id, old: old, new: new.hash, now: now))
    return .success(
      RefreshedSession(
        id: session.id, account: session.account, tenant: session.tenant, roles: standing.roles))
  }

  private func accessToken(_ session: RefreshedSession) async throws -> String {
    do {
      return try await tokens.sign(
        account: session.account, session: session.id, tenant: session.tenant, roles: session.roles)
    } catch is SigningKeyError {
      throw AccessError.noSigningKey.rpcError
    }
  }
}

/// A session that goes on.
private struct RefreshedSession: Sendable {
  var id: UUID
  var account: UUID
  var tenant: UUID?
  var roles: [String]
}

extension Transaction {
  /// Ends a session, and tells the Edges. The transaction acts for its tenant, or for none.
  func end(
    _ session: LockSession.Row, because reason: SessionEnd, action: AuditAction, by caller: Caller,
    now: Instant
  ) async throws {
    let ended = try await execute(
      EndSessions(account: session.account, only: session.id, reason: reason, now: now))
    guard !ended.isEmpty else { return }
    // Who used a token is not who is told to have: it may have been stolen.
    try await audit(
      action, in: session.tenant ?? .noTenant, by: caller, target: "session:\(session.id)",
      details: ["account": "account:\(session.account)", "reason": reason.rawValue], now: now)
    try await revoke([RevocationID.session(session.id)], now: now)
  }
}

struct RotateToken: Statement {
  static let name = "RotateToken"
  static let sql = "SELECT identity.session_rotate($1, $2, $3, $4, $5)"
  var session: UUID
  var old: TokenHash
  var new: TokenHash
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(session)
    bindings.append(old)
    bindings.append(new)
    bindings.append(now)
    bindings.append(now + NewSession.life)
  }
}
