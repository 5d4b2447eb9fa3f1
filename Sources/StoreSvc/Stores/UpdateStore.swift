import MainstreetAPI
import Postgres
import RPC

extension StoreService {
  func updateStore(_ request: UpdateStoreRequest, _ context: CallContext) async throws -> Store {
    let statement = ChangeStore(
      tenant: try tenant(of: context), id: try id(request.storeId, field: "store_id"), name: request.name,
      timezone: try request.timezone.map { try timezone($0) }, externalID: request.externalId, now: now())
    do {
      guard
        let store = try await postgres.executeOne(
          statement, tenant: statement.tenant, deadline: context.deadline)
      else { throw StoreError.notFound(request.storeId).rpcError }
      return store
    } catch let error as PostgresError where error.constraint == StoreRow.externalIDKey {
      throw StoreError.externalIDTaken(request.externalId ?? "").rpcError
    }
  }
}

/// What is null stays. Not idempotent: sent a second time it would undo a change that came in between.
struct ChangeStore: Statement {
  static let name = "ChangeStore"
  static let sql = """
    UPDATE store.stores AS s
    SET name = coalesce($3, s.name), timezone = coalesce($4, s.timezone),
      external_id = coalesce($5, s.external_id), updated_at = $6
    WHERE s.tenant_id = $1 AND s.store_id = $2
    RETURNING \(StoreRow.columns)
    """
  var tenant: UUID
  var id: UUID
  var name: String?
  var timezone: String?
  var externalID: String?
  var now: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(name)
    bindings.append(timezone)
    bindings.append(externalID)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> Store { try StoreRow.decode(&row) }
}
