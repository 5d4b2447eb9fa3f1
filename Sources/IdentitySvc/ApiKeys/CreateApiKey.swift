import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func createApiKey(_ request: CreateApiKeyRequest, _ context: CallContext) async throws
    -> CreateApiKeyResponse
  {
    let tenant = try context.principal.actingTenant()
    let caller = Caller(context)
    let now = now()
    do {
      let expiresAt = try request.expiresAt.map { try expiry($0, now: now) }
      let scopes = request.scopes.isEmpty ? ["*"] : Array(Set(request.scopes)).sorted()
      try ApiKeyRules.give(scopes, own: caller.ownScopes)
      let key = NewApiKey(
        tenant: tenant, name: request.name, scopes: scopes, expiresAt: expiresAt,
        environment: policy.keyEnvironment, now: now)
      let stored = try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
        try await requireRoomForKey(in: tenant, now: now, transaction)
        return try await transaction.add(key, by: caller)
      }
      return CreateApiKeyResponse(key: key.text.text, apiKey: stored)
    } catch let error as ApiKeyError {
      throw error.rpcError
    }
  }

  private func expiry(_ timestamp: Timestamp, now: Instant) throws(ApiKeyError) -> Instant {
    guard let time = PostgresTimestamp(seconds: timestamp.seconds, nanoseconds: timestamp.nanos),
      Instant(time) > now
    else { throw .expiryInPast }
    return Instant(time)
  }

  func requireRoomForKey(in tenant: UUID, now: Instant, _ transaction: Transaction) async throws {
    try await transaction.lock(tenant)
    let working = try await transaction.executeOne(CountApiKeys(tenant: tenant, now: now)) ?? 0
    guard working < policy.mostApiKeys else { throw ApiKeyError.tooMany(policy.mostApiKeys) }
  }
}

extension Caller {
  /// What a key may do; nil for a person.
  var ownScopes: [String]? { key == nil ? nil : principal?.scopes }
}

struct CountApiKeys: Statement {
  static let name = "CountApiKeys"
  static let sql = """
    SELECT count(*) FROM identity.api_keys
    WHERE tenant_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
    """
  static let isIdempotent = true
  var tenant: UUID
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> Int { try row.next() }
}
