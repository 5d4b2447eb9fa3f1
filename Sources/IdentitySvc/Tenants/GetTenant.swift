import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func getTenant(_ request: GetTenantRequest, _ context: CallContext) async throws -> Tenant {
    let find = FindTenant(tenant: try context.principal.actingTenant())
    guard let tenant = try await postgres.executeOne(find, tenant: find.tenant, deadline: context.deadline)
    else {
      throw TenantError.notFound.rpcError
    }
    return tenant
  }
}

struct FindTenant: Statement {
  static let name = "FindTenant"
  static let sql = "SELECT \(TenantRow.columns) FROM identity.tenants AS t WHERE t.tenant_id = $1"
  static let isIdempotent = true
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
  static func decode(_ row: inout RowReader) throws -> Tenant { try TenantRow.decode(&row) }
}
