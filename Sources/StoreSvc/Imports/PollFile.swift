import NIOCore
import Postgres

/// `store_id,status,timestamp_utc`
struct PollFile: ImportedFile {
  static let kind = "polls"
  static let columns = [["store_id"], ["status"], ["timestamp_utc"]]
  static let staging = Staging(
    table: "import_polls", definition: "line int4, number int4, at timestamptz, is_active bool")

  /// The latest poll to believe.
  let latest: Instant

  func parse(
    _ text: Span<UInt8>, _ fields: [Range<Int>], line: Int32, store: Int32, into rows: inout ByteBuffer
  ) throws(Rejection) {
    guard let isActive = Self.isActive(text, fields[1]) else { throw .badStatus }
    guard let at = TimestampText.parse(text, fields[2]) else { throw .badTimestamp }
    guard at <= latest else { throw PollError.inFuture.rejection }
    rows.writeMultipleIntegers(
      4 as Int16, 4 as Int32, line, 4 as Int32, store, 8 as Int32, at.postgresMicroseconds, 1 as Int32,
      isActive ? 1 as UInt8 : 0)
  }

  /// Any case, as the JSON of the same poll.
  private static func isActive(_ text: Span<UInt8>, _ field: Range<Int>) -> Bool? {
    func says(_ word: StaticString) -> Bool {
      guard field.count == word.utf8CodeUnitCount else { return false }
      return word.withUTF8Buffer { word in
        for offset in 0..<word.count where text[field.lowerBound + offset] | 0x20 != word[offset] {
          return false
        }
        return true
      }
    }
    if says("active") { return true }
    return says("inactive") ? false : nil
  }

  func merge(_ transaction: Transaction, tenant: UUID, _ postgres: PostgresClient) async throws -> Int {
    // On another connection: in this transaction they would be locked, and unseen by others, until the end of it.
    let months = try await transaction.execute(FindStagedMonths())
    try await postgres.executeCount(EnsurePollPartitions(instants: months), tenant: tenant)
    let merged = try await transaction.executeOne(MergeStagedPolls(tenant: tenant))
    countReplacedPolls(Int(merged?.replaced ?? 0))
    return Int(merged?.stored ?? 0)
  }
}

struct FindStagedMonths: Statement {
  static let name = "FindStagedMonths"
  static let sql = "SELECT DISTINCT date_trunc('month', at, 'UTC') FROM import_polls"
  static func decode(_ row: inout RowReader) throws -> PostgresTimestamp { try row.next() }
}

/// Each (store, instant) once, the last line of the file standing. In one pass sorted as the primary key is: rows land
/// side by side, and whoever else writes polls locks them in the same order, so that none deadlocks.
struct MergeStagedPolls: Statement {
  static let name = "MergeStagedPolls"
  static let sql = """
    WITH written AS (
      INSERT INTO store.polls AS p (tenant_id, store_id, at, is_active)
      SELECT $1, settled.store_id, settled.at, settled.is_active
      FROM (
        SELECT DISTINCT ON (s.store_id, i.at) s.store_id, i.at, i.is_active
        FROM import_polls i JOIN import_stores s ON s.number = i.number
        ORDER BY s.store_id, i.at, i.line DESC
      ) AS settled
      ON CONFLICT (tenant_id, store_id, at) DO UPDATE
        SET is_active = excluded.is_active, replaced = least(p.replaced, 32766) + 1
        WHERE p.is_active <> excluded.is_active
      RETURNING p.replaced > 0 AS has_replaced
    )
    SELECT count(*), count(*) FILTER (WHERE has_replaced) FROM written
    """
  var tenant: UUID

  func bind(into bindings: inout Bindings) { bindings.append(tenant) }

  static func decode(_ row: inout RowReader) throws -> (stored: Int64, replaced: Int64) {
    (try row.next(), try row.next())
  }
}
