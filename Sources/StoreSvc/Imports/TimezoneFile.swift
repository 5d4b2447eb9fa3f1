import NIOCore
import Postgres
import TimeZones

/// `store_id,timezone_str`. A store that comes twice keeps its last zone.
struct TimezoneFile: ImportedFile {
  static let kind = "timezones"
  static let columns = [["store_id"], ["timezone_str", "timezone"]]
  static let staging = Staging(table: "import_timezones", definition: "line int4, number int4, timezone text")

  let zones: TimeZones

  func parse(
    _ text: Span<UInt8>, _ fields: [Range<Int>], line: Int32, store: Int32, into rows: inout ByteBuffer
  ) throws(Rejection) {
    let zone = String(decoding: fields[1].map { text[$0] }, as: UTF8.self)
    guard zones.contains(zone) else {
      throw Rejection(code: "UNKNOWN_TIMEZONE", message: "timezone_str is not a zone of the IANA database")
    }
    rows.writeMultipleIntegers(3 as Int16, 4 as Int32, line, 4 as Int32, store, Int32(zone.utf8.count))
    rows.writeString(zone)
  }

  func merge(_ transaction: Transaction, tenant: UUID, _ postgres: PostgresClient) async throws -> Int {
    try await transaction.executeCount(SetStagedTimezones(tenant: tenant))
  }
}

struct SetStagedTimezones: Statement {
  static let name = "SetStagedTimezones"
  static let sql = """
    UPDATE store.stores AS known
    SET timezone = latest.timezone,
      updated_at = CASE WHEN known.timezone = latest.timezone THEN known.updated_at ELSE now() END
    FROM (
      SELECT DISTINCT ON (s.store_id) s.store_id, i.timezone
      FROM import_timezones i JOIN import_stores s ON s.number = i.number
      ORDER BY s.store_id, i.line DESC
    ) AS latest
    WHERE known.tenant_id = $1 AND known.store_id = latest.store_id
    """
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}
