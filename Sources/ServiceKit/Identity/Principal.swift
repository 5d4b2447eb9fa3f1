package import MainstreetAPI
package import Postgres
package import RPC

/// Who a call acts for, as a signature of identity says. The tenant of every statement comes from here and from nowhere
/// else.
///
/// It travels in the request metadata `mainstreet-principal`; `principal.proto` has the form. A class, for many calls
/// share one: it is verified once and then remembered.
package final class Principal: Sendable {
  package static let metadataKey = "mainstreet-principal"

  /// The tenant's UUID, as text; empty for who acts in none: a service, or a platform admin who has not chosen one.
  package let tenant: String
  /// The same as a value; nil for none.
  package let tenantID: UUID?
  /// `account:<uuid>`, `key:<uuid>` or `service:<name>`.
  package let subject: String
  /// What a person or a service is.
  package let roles: [String]
  /// What an API key may do.
  package let scopes: [String]
  /// Whether it stands for an API key.
  package var isKey: Bool { subject.hasPrefix("key:") }
  /// Seconds since 1970 from which on it counts for nothing.
  package let expiresAt: Int64

  /// Nil for claims that nobody should have signed: a tenant that is no UUID in its usual form, no subject, no end.
  package init?(_ claims: PrincipalClaims) {
    guard claims.tenantId.isEmpty || Self.isUUID(claims.tenantId), !claims.subject.isEmpty,
      let expiresAt = claims.expiresAt
    else { return nil }
    tenant = claims.tenantId
    tenantID = UUID(claims.tenantId)
    subject = claims.subject
    roles = claims.roles
    scopes = claims.scopes
    self.expiresAt = expiresAt.seconds
  }

  /// Lower-case, as identity writes them: two spellings of one tenant would be two tenants to whatever counts by text.
  private static func isUUID(_ text: String) -> Bool {
    UUID(text)?.description == text
  }
}

extension CallContext {
  /// The principal of a call that was admitted by `Admission`.
  /// - Throws: UNAUTHENTICATED when the call came without one, which only a method open to everyone lets happen.
  package var principal: Principal {
    get throws(RPCError) {
      guard let principal = caller as? Principal else { throw .principalNeeded }
      return principal
    }
  }
}

extension Principal {
  /// The tenant that the call is about.
  /// - Throws: PERMISSION_DENIED for who acts in no tenant.
  package func actingTenant() throws(RPCError) -> UUID {
    guard let tenantID else {
      throw RPCError(
        .permissionDenied, "\(subject) acts in no tenant, and this is about one's",
        reason: "PERMISSION_DENIED")
    }
    return tenantID
  }
}

extension RPCError {
  static let principalNeeded = RPCError(
    .unauthenticated, "this call needs a principal", reason: "UNAUTHENTICATED")
}
