import MainstreetAPI
import Postgres
import ServiceKit

/// A key that is to be.
struct NewApiKey: Sendable {
  var tenant: UUID
  var id: UUID
  /// Keys that take each other's place are of one line; the first of it gives its id.
  var line: UUID
  var name: String
  var text: ApiKeyText
  var scopes: [String]
  var createdAt: Instant
  var expiresAt: Instant?

  init(
    tenant: UUID, name: String, scopes: [String] = ["*"], expiresAt: Instant? = nil, line: UUID? = nil,
    text: ApiKeyText, now: Instant
  ) {
    id = .v7(now: now)
    self.tenant = tenant
    self.line = line ?? id
    self.name = name
    self.scopes = scopes
    self.text = text
    self.expiresAt = expiresAt
    createdAt = now
  }

  init(
    tenant: UUID, name: String, scopes: [String] = ["*"], expiresAt: Instant? = nil, line: UUID? = nil,
    environment: String, now: Instant
  ) {
    self.init(
      tenant: tenant, name: name, scopes: scopes, expiresAt: expiresAt, line: line,
      text: .random(environment: environment), now: now)
  }
}

extension Transaction {
  /// Makes a key. The transaction acts for its tenant.
  func add(
    _ key: NewApiKey, by caller: Caller, action: AuditAction = .apiKeyCreated, details: [String: String] = [:]
  ) async throws -> ApiKey {
    let stored = try await executeOne(InsertApiKey(key: key))
    try await audit(
      action, in: key.tenant, by: caller, target: "key:\(key.id)",
      details: details.merging(
        ["name": key.name, "prefix": key.text.prefix, "scopes": key.scopes.joined(separator: " ")]
      ) { $1 }, now: key.createdAt)
    return stored ?? ApiKey()
  }
}

/// A key as the statements of this folder read it, of a table or row `k`.
enum ApiKeyRow {
  static let columns = """
    k.key_id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.last_used_at, k.revoked_at, k.replaced_by
    """

  static func decode(_ row: inout RowReader) throws -> ApiKey {
    ApiKey(
      id: try row.next(UUID.self).description, name: try row.next(), prefix: try row.next(),
      scopes: try row.next(),
      createdAt: Timestamp(try row.next(Instant.self)),
      expiresAt: try row.next(Instant?.self).map { Timestamp($0) },
      lastUsedAt: try row.next(Instant?.self).map { Timestamp($0) },
      revokedAt: try row.next(Instant?.self).map { Timestamp($0) },
      replacedBy: try row.next(UUID?.self)?.description)
  }
}

struct InsertApiKey: Statement {
  static let name = "InsertApiKey"
  static let sql = """
    INSERT INTO identity.api_keys AS k
      (tenant_id, key_id, line_id, name, prefix, key_hash, scopes, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    RETURNING \(ApiKeyRow.columns)
    """
  var key: NewApiKey

  func bind(into bindings: inout Bindings) {
    bindings.append(key.tenant)
    bindings.append(key.id)
    bindings.append(key.line)
    bindings.append(key.name)
    bindings.append(key.text.prefix)
    bindings.append(key.text.hash)
    bindings.append(key.scopes)
    bindings.append(key.createdAt)
    bindings.append(key.expiresAt)
  }

  static func decode(_ row: inout RowReader) throws -> ApiKey { try ApiKeyRow.decode(&row) }
}
