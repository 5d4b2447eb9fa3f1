import MainstreetAPI
import Postgres
import ServiceKit

/// A tenant that is to be.
struct NewTenant: Sendable {
  var id: UUID
  var name: String
  /// Nil to make one of the name.
  var slug: String?
  var timezone = "UTC"
  var currency = "USD"
}

extension Transaction {
  /// Opens a tenant. The transaction acts for it already.
  /// - Throws: `TenantError.slugTaken`.
  func open(_ new: NewTenant, by caller: Caller, actor: String? = nil, now: Instant) async throws -> Tenant {
    let slug = try await claimSlug(new)
    guard let tenant = try await executeOne(InsertTenant(new: new, slug: slug, now: now)) else {
      throw TenantError.notFound
    }
    try await audit(
      .tenantCreated, in: new.id, by: caller, actor: actor, target: "tenant:\(new.id)",
      details: ["name": new.name, "slug": slug], now: now)
    return tenant
  }

  private func claimSlug(_ new: NewTenant) async throws -> String {
    let suffixes = (0..<SlugRules.attempts).map { _ in Base62.random(6).lowercased() }
    for slug in new.slug.map({ [$0] }) ?? SlugRules.candidates(name: new.name, suffixes: suffixes) {
      if try await executeOne(ClaimSlug(slug: slug)) == true { return slug }
    }
    throw TenantError.slugTaken(new.slug ?? "")
  }
}

struct ClaimSlug: Statement {
  static let name = "ClaimSlug"
  static let sql = "SELECT identity.claim_slug($1)"
  var slug: String
  func bind(into bindings: inout Bindings) { bindings.append(slug) }
  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

struct InsertTenant: Statement {
  static let name = "InsertTenant"
  static let sql = """
    INSERT INTO identity.tenants AS t (tenant_id, name, slug, timezone, currency, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6)
    RETURNING \(TenantRow.columns)
    """
  var new: NewTenant
  var slug: String
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(new.id)
    bindings.append(new.name)
    bindings.append(slug)
    bindings.append(new.timezone)
    bindings.append(new.currency)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> Tenant { try TenantRow.decode(&row) }
}
