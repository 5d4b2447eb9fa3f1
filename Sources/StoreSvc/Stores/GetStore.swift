import MainstreetAPI
import Postgres
import RPC

extension StoreService {
  func getStore(_ request: GetStoreRequest, _ context: CallContext) async throws -> Store {
    let find = FindStore(tenant: try tenant(of: context), id: try id(request.storeId, field: "store_id"))
    guard let store = try await postgres.executeOne(find, tenant: find.tenant, deadline: context.deadline)
    else { throw StoreError.notFound(request.storeId).rpcError }
    return store
  }
}

struct FindStore: Statement {
  static let name = "FindStore"
  static let sql = """
    SELECT \(StoreRow.columns) FROM store.stores AS s WHERE s.tenant_id = $1 AND s.store_id = $2
    """
  static let isIdempotent = true
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }

  static func decode(_ row: inout RowReader) throws -> Store { try StoreRow.decode(&row) }
}
