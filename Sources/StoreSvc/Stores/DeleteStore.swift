import MainstreetAPI
import Postgres
import RPC

extension StoreService {
  func deleteStore(_ request: DeleteStoreRequest, _ context: CallContext) async throws -> Empty {
    let tenant = try tenant(of: context)
    let id = try id(request.storeId, field: "store_id")
    // The store first: that waits for whoever is recording polls of it, so that none is left behind.
    let (deleted, _) = try await postgres.executeBatch(
      DeleteStoreRow(tenant: tenant, id: id), DeletePollsOfStore(tenant: tenant, id: id), tenant: tenant,
      deadline: context.deadline)
    guard !deleted.isEmpty else { throw StoreError.notFound(request.storeId).rpcError }
    return Empty()
  }
}

struct DeleteStoreRow: Statement {
  static let name = "DeleteStoreRow"
  static let sql = "DELETE FROM store.stores WHERE tenant_id = $1 AND store_id = $2 RETURNING store_id"
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }

  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}

struct DeletePollsOfStore: Statement {
  static let name = "DeletePollsOfStore"
  static let sql = "DELETE FROM store.polls WHERE tenant_id = $1 AND store_id = $2"
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }
}
