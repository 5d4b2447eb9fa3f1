import MainstreetAPI
import Postgres
import ServiceKit

/// A tenant as the statements of this folder read it, of a table or row `t`.
enum TenantRow {
  static let columns = """
    t.tenant_id, t.name, t.slug, t.plan, t.timezone, t.currency, t.shop_domain, t.settings::text, t.created_at,
    t.updated_at
    """

  static func decode(_ row: inout RowReader) throws -> Tenant {
    Tenant(
      id: try row.next(UUID.self).description, name: try row.next(), slug: try row.next(),
      plan: Plan(stored: try row.next()), timezone: try row.next(), currency: try row.next(),
      shopDomain: try row.next(), settings: try row.next(), createdAt: Timestamp(try row.next(Instant.self)),
      updatedAt: Timestamp(try row.next(Instant.self)))
  }
}
