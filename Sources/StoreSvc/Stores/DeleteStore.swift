import MainstreetAPI
import Postgres
import RPC

extension StoreService {
  func deleteStore(_ request: DeleteStoreRequest, _ context: CallContext) async throws -> Empty {
    let tenant = try tenant(of: context)
    let id = try id(request.storeId, field: "store_id")
    // The store first: that waits for whoever is recording polls of it, so that none is left behind. On a connection
    // of its own, because that may be an import, and the polls may be many.
    let deleted = try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
      let deleted = try await transaction.executeCount(DeleteStoreRow(tenant: tenant, id: id))
      if deleted > 0 { try await transaction.executeCount(DeletePollsOfStore(tenant: tenant, id: id)) }
      return deleted
    }
    guard deleted > 0 else { throw StoreError.notFound(request.storeId).rpcError }
    return Empty()
  }
}

struct DeleteStoreRow: Statement {
  static let name = "DeleteStoreRow"
  static let sql = "DELETE FROM store.stores WHERE tenant_id = $1 AND store_id = $2"
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }
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
