import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func revokeApiKey(_ request: RevokeApiKeyRequest, _ context: CallContext) async throws -> Empty {
    let tenant = try context.principal.actingTenant()
    let id = try id(request.keyId, field: "key_id")
    let caller = Caller(context)
    let now = now()
    let isThere = try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
      // Nil when there is none; when it was revoked before, that was told then.
      guard let wasRevoked = try await transaction.executeOne(LockApiKey(tenant: tenant, key: id)) else {
        return false
      }
      guard !wasRevoked else { return true }
      try await transaction.executeCount(SetApiKeyRevoked(tenant: tenant, key: id, now: now))
      try await transaction.audit(.apiKeyRevoked, in: tenant, by: caller, target: "key:\(id)", now: now)
      try await transaction.revoke([RevocationID.key(id)], now: now)
      return true
    }
    guard isThere else { throw ApiKeyError.notFound.rpcError }
    return Empty()
  }
}

/// Whether it has been revoked.
struct LockApiKey: Statement {
  static let name = "LockApiKey"
  static let sql = """
    SELECT revoked_at IS NOT NULL FROM identity.api_keys WHERE tenant_id = $1 AND key_id = $2 FOR NO KEY UPDATE
    """
  var tenant: UUID
  var key: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(key)
  }

  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

struct SetApiKeyRevoked: Statement {
  static let name = "SetApiKeyRevoked"
  static let sql = "UPDATE identity.api_keys SET revoked_at = $3 WHERE tenant_id = $1 AND key_id = $2"
  var tenant: UUID
  var key: UUID
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(key)
    bindings.append(now)
  }
}
