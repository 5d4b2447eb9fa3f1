import MainstreetAPI
import Postgres
import ServiceKit

/// A store as the statements of this folder read it, of a table or row `s`.
enum StoreRow {
  static let columns = """
    s.store_id, s.name, s.timezone, s.external_id, s.created_at, s.updated_at,
    ARRAY(SELECT \(StoredHours.packedSQL) FROM store.business_hours h
          WHERE h.tenant_id = s.tenant_id AND h.store_id = s.store_id ORDER BY 1)
    """

  static func decode(_ row: inout RowReader) throws -> Store {
    Store(
      storeId: try row.next(UUID.self).description, name: try row.next(), timezone: try row.next(),
      externalId: try row.next(), createdAt: Timestamp(try row.next(PostgresTimestamp.self)),
      updatedAt: Timestamp(try row.next(PostgresTimestamp.self)),
      businessHours: try row.next([Int64].self).map { BusinessHours(StoredHours(packed: $0)) })
  }

  /// The unique key of external ids, as a violation names it.
  static let externalIDKey = "stores_external_id_key"
}
