import MainstreetAPI
import Postgres
import RPC

extension StoreService {
  func listStores(_ request: ListStoresRequest, _ context: CallContext) async throws -> ListStoresResponse {
    let limit = request.limit == 0 ? 50 : Int(request.limit)
    let page = ListStoresPage(
      tenant: try tenant(of: context), after: try StoreCursor.id(request.cursor), limit: limit + 1)
    var stores = try await postgres.execute(page, tenant: page.tenant, deadline: context.deadline)
    // One more than asked for tells whether there is another page.
    guard stores.count > limit else { return ListStoresResponse(stores: stores) }
    stores.removeLast()
    return ListStoresResponse(stores: stores, nextCursor: stores.last.map { StoreCursor.text($0.storeId) })
  }
}

/// Where a page ends: the last store on it. Ids are made in the order of time, so they are the order of the list.
/// It shows nothing that the page did not, and leads only to stores of the caller's own tenant.
enum StoreCursor {
  private static let prefix = "s1-"

  static func text(_ storeID: String) -> String { prefix + storeID.replacing("-", with: "") }

  /// - Returns: nil for the first page.
  static func id(_ cursor: String) throws(RPCError) -> UUID? {
    if cursor.isEmpty { return nil }
    let digits = cursor.dropFirst(prefix.count)
    guard cursor.hasPrefix(prefix), digits.utf8.count == 32,
      let high = UInt64(digits.prefix(16), radix: 16), let low = UInt64(digits.suffix(16), radix: 16)
    else { throw StoreError.badCursor.rpcError }
    return UUID(high: high, low: low)
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
