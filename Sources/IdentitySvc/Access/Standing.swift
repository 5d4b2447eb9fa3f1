import MainstreetAPI
import Postgres

/// What a credential opens at this moment.
struct Standing: Sendable, Hashable {
  /// Nil for a platform admin who acts in none.
  var tenant: UUID?
  var subject: String
  var roles: [String] = []
  var scopes: [String] = []
  /// When the credential itself ends.
  var expiresAt: Instant?
  /// What a revocation would name.
  var revocationIDs: [String]
  var plan: Plan
  var rateLimits: [RateLimit]
}

/// The names that revocations go by.
enum RevocationID {
  static func key(_ id: UUID) -> String { "key:\(id)" }
  static func session(_ id: UUID) -> String { "session:\(id)" }
  static func account(_ id: UUID) -> String { "account:\(id)" }
  static func tenant(_ id: UUID) -> String { "tenant:\(id)" }
  static func member(_ account: UUID, of tenant: UUID) -> String { "member:\(tenant)/\(account)" }
}

/// Reads the limits that are a tenant's own: two columns, classes and how many a minute.
func decodeRateLimits(_ row: inout RowReader) throws -> [RateLimit] {
  let classes = try row.next([String].self)
  let limits = try row.next([Int32].self)
  return zip(classes, limits).map { RateLimit(rateClass: $0, perMinute: UInt32($1)) }
}
