import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension StoreService {
  func listStores(_ request: ListStoresRequest, _ context: CallContext) async throws -> ListStoresResponse {
    let limit = request.limit == 0 ? 50 : Int(request.limit)
    let tenant = try tenant(of: context)
    let cursors = StoreCursors(signer: cursors, tenant: tenant)
    let page = ListStoresPage(tenant: tenant, after: try cursors.store(request.cursor), limit: limit + 1)
    var stores = try await postgres.execute(page, tenant: page.tenant, deadline: context.deadline)
    // One more than asked for tells whether there is another page.
    guard stores.count > limit else { return ListStoresResponse(stores: stores) }
    stores.removeLast()
    return ListStoresResponse(stores: stores, nextCursor: stores.last.flatMap(cursors.text))
  }
}

/// Where a page ends: the last store on it. Ids are made in the order of time, so they are the order of the list.
struct StoreCursors {
  let signer: CursorSigner
  let tenant: UUID

  func text(_ store: Store) -> String? {
    UUID(store.storeId).map { signer.text($0.bytes, tenant: tenant) }
  }

  /// - Returns: nil for the first page.
  func store(_ cursor: String) throws(RPCError) -> UUID? {
    if cursor.isEmpty { return nil }
    guard let place = signer.place(cursor, tenant: tenant), let id = UUID(bytes: place) else {
      throw StoreError.badCursor.rpcError
    }
    return id
  }
}

struct ListStoresPage: Statement {
  static let name = "ListStoresPage"
  static let sql = """
    SELECT \(StoreRow.columns) FROM store.stores AS s
    WHERE s.tenant_id = $1 AND s.store_id > $2
    ORDER BY s.store_id LIMIT $3
    """
  static let isIdempotent = true
  var tenant: UUID
  var after: UUID?
  var limit: Int

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(after ?? UUID(high: 0, low: 0))
    bindings.append(limit)
  }

  static func decode(_ row: inout RowReader) throws -> Store { try StoreRow.decode(&row) }
}
