import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func listApiKeys(_ request: ListApiKeysRequest, _ context: CallContext) async throws -> ListApiKeysResponse
  {
    let tenant = try context.principal.actingTenant()
    let limit = request.limit == 0 ? 50 : Int(request.limit)
    let found = try await postgres.execute(
      ListApiKeysPage(
        tenant: tenant, before: try IDCursor.apiKeys.id(request.cursor) ?? .last, most: limit + 1),
      tenant: tenant, deadline: context.deadline)
    let page = page(found, limit: limit, cursor: .apiKeys, id: \.id)
    return ListApiKeysResponse(apiKeys: page.elements, nextCursor: page.next)
  }
}

struct ListApiKeysPage: Statement {
  static let name = "ListApiKeysPage"
  static let sql = """
    SELECT \(ApiKeyRow.columns) FROM identity.api_keys AS k
    WHERE k.tenant_id = $1 AND k.key_id < $2
    ORDER BY k.key_id DESC LIMIT $3
    """
  static let isIdempotent = true
  var tenant: UUID
  var before: UUID
  var most: Int

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(before)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> ApiKey { try ApiKeyRow.decode(&row) }
}
