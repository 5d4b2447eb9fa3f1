import NIOCore
import Postgres
import TimeZones

/// `store_id,day|dayOfWeek,start_time_local,end_time_local`. Replaces the hours of every store in it.
struct HoursFile: ImportedFile {
  static let kind = "hours"
  static let columns = [["store_id"], ["day", "dayOfWeek"], ["start_time_local"], ["end_time_local"]]
  static let staging = Staging(
    table: "import_hours", definition: "number int4, day_of_week int2, start_second int4, end_second int4")

  /// As many as one SetBusinessHours may set, so that no report is slowed by one store.
  static let mostPerStore: UInt8 = 100

  /// For each store's number its rows so far.
  private var counts: [UInt8] = []

  mutating func parse(
    _ text: Span<UInt8>, _ fields: [Range<Int>], line: Int32, store: Int32, into rows: inout ByteBuffer
  ) throws(Rejection) {
    guard fields[1].count == 1, case let day = text[fields[1].lowerBound] &- UInt8(ascii: "0"), day <= 6
    else {
      throw .badDay
    }
    guard let start = StoredHours.second(text, fields[2]), start < CivilDate.secondsPerDay,
      let end = StoredHours.second(text, fields[3])
    else { throw .badTime }
    while counts.count <= store { counts.append(0) }
    guard counts[Int(store)] < Self.mostPerStore else { throw .tooManyHours }
    counts[Int(store)] += 1
    rows.writeMultipleIntegers(
      4 as Int16, 4 as Int32, store, 2 as Int32, Int16(day), 4 as Int32, Int32(start), 4 as Int32, Int32(end))
  }

  func merge(_ transaction: Transaction, tenant: UUID, _ postgres: PostgresClient) async throws -> Int {
    _ = try await transaction.execute(LockStagedStores(tenant: tenant))
    try await transaction.executeCount(TouchStagedStores(tenant: tenant))
    try await transaction.executeCount(DeleteHoursOfStagedStores(tenant: tenant))
    return try await transaction.executeCount(InsertStagedHours(tenant: tenant))
  }
}

/// Whoever replaces hours holds their store first; otherwise two who do so at once would each delete what was there
/// and leave both their own. In the order of the ids, so that two imports cannot deadlock.
struct LockStagedStores: Statement {
  static let name = "LockStagedStores"
  static let sql = """
    SELECT count(*) FROM (
      SELECT 1 FROM store.stores
      WHERE tenant_id = $1 AND store_id IN (SELECT s.store_id FROM import_stores s)
      ORDER BY store_id FOR NO KEY UPDATE
    ) AS locked
    """
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

struct TouchStagedStores: Statement {
  static let name = "TouchStagedStores"
  static let sql = """
    UPDATE store.stores SET updated_at = now()
    WHERE tenant_id = $1 AND store_id IN (SELECT s.store_id FROM import_stores s)
    """
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}

struct DeleteHoursOfStagedStores: Statement {
  static let name = "DeleteHoursOfStagedStores"
  static let sql = """
    DELETE FROM store.business_hours AS h USING import_stores s
    WHERE h.tenant_id = $1 AND h.store_id = s.store_id
      AND EXISTS (SELECT 1 FROM import_hours i WHERE i.number = s.number)
    """
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}

struct InsertStagedHours: Statement {
  static let name = "InsertStagedHours"
  static let sql = """
    INSERT INTO store.business_hours (tenant_id, store_id, day_of_week, start_second, end_second)
    SELECT DISTINCT $1::uuid, s.store_id, i.day_of_week, i.start_second, i.end_second
    FROM import_hours i JOIN import_stores s ON s.number = i.number
    """
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}
