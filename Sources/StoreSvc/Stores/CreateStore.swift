import MainstreetAPI
import Postgres
import RPC
import ServiceKit
import TimeZones

extension StoreService {
  func createStore(_ request: CreateStoreRequest, _ context: CallContext) async throws -> Store {
    let now = now()
    let statement = InsertStore(
      tenant: try tenant(of: context), id: .v7(now: now), name: request.name,
      timezone: try timezone(request.timezone ?? TimeZones.defaultName), externalID: request.externalId,
      now: now)
    return try await idempotency.once(request, context, tenant: statement.tenant) { transaction in
      do {
        guard let store = try await transaction.executeOne(statement) else {
          throw RPCError(.internal, "the store was not created")
        }
        return store
      } catch let error as PostgresError where error.constraint == StoreRow.externalIDKey {
        throw StoreError.externalIDTaken(request.externalId ?? "").rpcError
      }
    }
  }

  /// The name of a zone this machine knows.
  func timezone(_ name: String) throws(RPCError) -> String {
    guard zones.contains(name) else { throw StoreError.unknownTimezone(name).rpcError }
    return name
  }
}

struct InsertStore: Statement {
  static let name = "InsertStore"
  static let sql = """
    INSERT INTO store.stores AS s (tenant_id, store_id, name, timezone, external_id, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6)
    RETURNING \(StoreRow.columns)
    """
  var tenant: UUID
  var id: UUID
  var name: String
  var timezone: String
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
