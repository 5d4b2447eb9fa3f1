import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func updateTenant(_ request: UpdateTenantRequest, _ context: CallContext) async throws -> Tenant {
    let caller = Caller(context)
    let now = now()
    let change = ChangeTenant(
      tenant: try context.principal.actingTenant(), name: request.name,
      timezone: try request.timezone.map { try timezone($0) }, currency: request.currency,
      shopDomain: request.shopDomain, settings: request.settings, now: now)
    do {
      let tenant = try await postgres.transaction(tenant: change.tenant, deadline: context.deadline) {
        transaction in
        guard let tenant = try await transaction.executeOne(change) else {
          throw TenantError.notFound.rpcError
        }
        try await transaction.audit(
          .tenantUpdated, in: change.tenant, by: caller, target: "tenant:\(change.tenant)",
          details: ["fields": change.fields.joined(separator: " ")], now: now)
        return tenant
      }
      return tenant
    } catch let error as PostgresError
      where error.constraint == "tenants_settings_check" || error.sqlState == .invalidTextRepresentation
    {
      throw TenantError.badSettings.rpcError
    }
  }
}

/// What is null stays; an empty domain is none.
struct ChangeTenant: Statement {
  static let name = "ChangeTenant"
  static let sql = """
    UPDATE identity.tenants AS t
    SET name = coalesce($2, t.name), timezone = coalesce($3, t.timezone), currency = coalesce($4, t.currency),
      shop_domain = CASE WHEN $5::text IS NULL THEN t.shop_domain ELSE NULLIF($5, '') END,
      settings = coalesce($6::jsonb, t.settings), updated_at = $7
    WHERE t.tenant_id = $1
    RETURNING \(TenantRow.columns)
    """
  var tenant: UUID
  var name: String?
  var timezone: String?
  var currency: String?
  var shopDomain: String?
  var settings: String?
  var now: Instant

  /// The names of what is to change.
  var fields: [String] {
    [
      ("name", name), ("timezone", timezone), ("currency", currency), ("shop_domain", shopDomain),
      ("settings", settings),
    ].filter { $0.1 != nil }.map(\.0)
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(name)
    bindings.append(timezone)
    bindings.append(currency)
    bindings.append(shopDomain)
    bindings.append(settings.map { PostgresJSON($0) })
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> Tenant { try TenantRow.decode(&row) }
}
