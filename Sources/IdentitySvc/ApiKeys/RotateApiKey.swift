import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func rotateApiKey(_ request: RotateApiKeyRequest, _ context: CallContext) async throws
    -> CreateApiKeyResponse
  {
    let tenant = try context.principal.actingTenant()
    let id = try id(request.keyId, field: "key_id")
    let caller = Caller(context)
    let now = now()
    do {
      let (text, key) = try await postgres.transaction(tenant: tenant, deadline: context.deadline) {
        transaction in
        try await requireRoomForKey(in: tenant, now: now, transaction)
        let line = try await transaction.execute(ListLine(tenant: tenant, key: id))
        guard let former = line.first(where: { $0.id == id }) else { throw ApiKeyError.notFound }
        try ApiKeyRules.give(former.scopes, own: caller.ownScopes)
        let rotation = try ApiKeyRules.rotate(former.rule, line: line.map(\.rule), now: now)
        let new = NewApiKey(
          tenant: tenant, name: former.name, scopes: former.scopes, expiresAt: rotation.nextExpiresAt,
          line: former.line, environment: policy.keyEnvironment, now: now)
        try await transaction.executeCount(
          ReplaceApiKey(tenant: tenant, key: id, successor: new.id, expiresAt: rotation.formerExpiresAt))
        let stored = try await transaction.add(
          new, by: caller, action: .apiKeyRotated, details: ["replaces": "key:\(id)"])
        // Edges remember when the former was to end.
        try await transaction.revoke([RevocationID.key(id)], now: now)
        return (new.text.text, stored)
      }
      return CreateApiKeyResponse(key: text, apiKey: key)
    } catch let error as ApiKeyError {
      throw error.rpcError
    }
  }
}

/// All keys of a key's line.
struct ListLine: Statement {
  static let name = "ListLine"
  static let sql = """
    SELECT k.key_id, k.line_id, k.name, k.scopes, k.created_at, k.expires_at, k.revoked_at IS NOT NULL
    FROM identity.api_keys k
    WHERE k.tenant_id = $1 AND k.line_id = (
      SELECT o.line_id FROM identity.api_keys o WHERE o.tenant_id = $1 AND o.key_id = $2)
    """
  static let isIdempotent = true
  var tenant: UUID
  var key: UUID

  struct Row: Sendable {
    var id: UUID
    var line: UUID
    var name: String
    var scopes: [String]
    var rule: ApiKeyRules.Key
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(key)
  }

  static func decode(_ row: inout RowReader) throws -> Row {
    Row(
      id: try row.next(), line: try row.next(), name: try row.next(), scopes: try row.next(),
      rule: .init(createdAt: try row.next(), expiresAt: try row.next(), isRevoked: try row.next()))
  }
}

struct ReplaceApiKey: Statement {
  static let name = "ReplaceApiKey"
  static let sql = """
    UPDATE identity.api_keys SET replaced_by = $3, expires_at = $4 WHERE tenant_id = $1 AND key_id = $2
    """
  var tenant: UUID
  var key: UUID
  var successor: UUID
  var expiresAt: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(key)
    bindings.append(successor)
    bindings.append(expiresAt)
  }
}
