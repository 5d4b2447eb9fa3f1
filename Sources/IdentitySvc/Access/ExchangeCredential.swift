import MainstreetAPI
import NIOCore
import Postgres
import RPC
import ServiceKit

extension AccessService {
  func exchangeCredential(_ request: ExchangeCredentialRequest, _ context: CallContext) async throws
    -> ExchangeCredentialResponse
  {
    do {
      let standing: Standing =
        switch request.credential {
        case .apiKey(let text): try await standing(ofKey: text, context)
        case .accessToken(let text): try await standing(ofToken: text, context)
        case nil: throw AccessError.noCredential
        }
      let (principal, claims) = try sign(standing)
      return ExchangeCredentialResponse(
        principal: principal, expiresAt: claims.expiresAt, claims: claims,
        revocationIds: standing.revocationIDs, plan: standing.plan, rateLimits: standing.rateLimits)
    } catch let error as AccessError {
      throw error.rpcError
    }
  }

  private func standing(ofKey text: String, _ context: CallContext) async throws -> Standing {
    guard let text = ApiKeyText(text) else { throw AccessError.unknownKey }
    let find = FindApiKey(hash: text.hash)
    guard let key = try await postgres.executeOne(find, tenant: nil, deadline: context.deadline) else {
      throw AccessError.unknownKey
    }
    if key.isRevoked { throw AccessError.revokedKey }
    let now = now()
    if let end = key.standing.expiresAt, end <= now { throw AccessError.expiredKey }
    keyUses.note(key.id, of: key.tenant, lastUsed: key.lastUsedAt, now: now)
    return key.standing
  }

  /// The token says which session it is of; what the session opens is looked up, so that a new role counts at once and
  /// one that was taken counts no more.
  private func standing(ofToken text: String, _ context: CallContext) async throws -> Standing {
    let claims = try await tokens.verify(text)
    let find = FindSessionStanding(session: claims.session)
    guard let session = try await postgres.executeOne(find, tenant: nil, deadline: context.deadline),
      session.account == claims.account, session.tenant == claims.tenant
    else { throw AccessError.endedSession }
    guard var standing = session.standing(of: claims.session) else { throw AccessError.notMember }
    standing.expiresAt = claims.expiresAt
    return standing
  }
}

struct FindApiKey: Statement {
  static let name = "FindApiKey"
  static let sql = """
    SELECT tenant_id, key_id, scopes, expires_at, revoked_at IS NOT NULL, last_used_at, plan, limit_classes, limits
    FROM identity.api_key_of_hash($1)
    """
  static let isIdempotent = true
  var hash: TokenHash

  struct Row: Sendable {
    var tenant: UUID
    var id: UUID
    var isRevoked: Bool
    var lastUsedAt: Instant?
    var standing: Standing
  }

  func bind(into bindings: inout Bindings) { bindings.append(hash) }

  static func decode(_ row: inout RowReader) throws -> Row {
    let tenant = try row.next(UUID.self)
    let id = try row.next(UUID.self)
    let scopes = try row.next([String].self)
    let expiresAt = try row.next(Instant?.self)
    let isRevoked = try row.next(Bool.self)
    let lastUsedAt = try row.next(Instant?.self)
    let plan = Plan(stored: try row.next())
    return Row(
      tenant: tenant, id: id, isRevoked: isRevoked, lastUsedAt: lastUsedAt,
      standing: Standing(
        tenant: tenant, subject: RevocationID.key(id), scopes: scopes, expiresAt: expiresAt,
        revocationIDs: [RevocationID.key(id), RevocationID.tenant(tenant)], plan: plan,
        rateLimits: try decodeRateLimits(&row)))
  }
}

struct FindSessionStanding: Statement {
  static let name = "FindSessionStanding"
  static let sql = """
    SELECT account_id, is_platform_admin, tenant_id, role, plan, limit_classes, limits
    FROM identity.session_standing($1)
    """
  static let isIdempotent = true
  var session: UUID

  struct Row: Sendable {
    var account: UUID
    var isPlatformAdmin: Bool
    var tenant: UUID?
    var role: String?
    var plan: Plan?
    var rateLimits: [RateLimit]

    /// What the session opens; nil when its account has lost its place in the tenant.
    func standing(of session: UUID) -> Standing? {
      guard isPlatformAdmin || role != nil else { return nil }
      var ids = [RevocationID.session(session), RevocationID.account(account)]
      if let tenant { ids += [RevocationID.tenant(tenant), RevocationID.member(account, of: tenant)] }
      return Standing(
        tenant: tenant, subject: RevocationID.account(account), roles: roles, revocationIDs: ids,
        plan: plan ?? .unspecified, rateLimits: rateLimits)
    }

    /// A platform admin is one wherever the account acts, whatever place it has there.
    var roles: [String] { isPlatformAdmin ? ["platform_admin"] : role.map { [$0] } ?? [] }
  }

  func bind(into bindings: inout Bindings) { bindings.append(session) }

  static func decode(_ row: inout RowReader) throws -> Row {
    Row(
      account: try row.next(), isPlatformAdmin: try row.next(), tenant: try row.next(), role: try row.next(),
      plan: try row.next(String?.self).map { Plan(stored: $0) }, rateLimits: try decodeRateLimits(&row))
  }
}
