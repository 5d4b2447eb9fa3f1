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
    let inserted = try await transaction.executeCount(InsertStagedPolls(tenant: tenant))
    // Only what was there already can contradict, and mostly nothing was.
    guard try await transaction.executeOne(CountStagedPolls()) ?? 0 > Int64(inserted) else { return inserted }
    let replaced = try await transaction.executeCount(ReplaceContradictedPolls(tenant: tenant))
    countReplacedPolls(replaced)
    return inserted + replaced
  }
}

/// Each (store, instant) once, the last line of the file standing. Sorted as the primary key is, so that rows land
/// side by side, and so that two imports lock them in the same order.
private let settledPolls = """
  SELECT DISTINCT ON (s.store_id, p.at) s.store_id, p.at, p.is_active
  FROM import_polls p JOIN import_stores s ON s.number = p.number
  ORDER BY s.store_id, p.at, p.line DESC
  """

struct FindStagedMonths: Statement {
  static let name = "FindStagedMonths"
  static let sql = "SELECT DISTINCT date_trunc('month', at, 'UTC') FROM import_polls"
  static func decode(_ row: inout RowReader) throws -> PostgresTimestamp { try row.next() }
}

struct InsertStagedPolls: Statement {
  static let name = "InsertStagedPolls"
  static let sql = """
    INSERT INTO store.polls (tenant_id, store_id, at, is_active)
    SELECT $1, settled.store_id, settled.at, settled.is_active FROM (\(settledPolls)) AS settled
    ON CONFLICT (tenant_id, store_id, at) DO NOTHING
    """
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}

struct CountStagedPolls: Statement {
  static let name = "CountStagedPolls"
  static let sql = "SELECT count(*) FROM import_polls"
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

struct ReplaceContradictedPolls: Statement {
  static let name = "ReplaceContradictedPolls"
  static let sql = """
    UPDATE store.polls AS known SET is_active = settled.is_active, replaced = least(known.replaced, 32766) + 1
    FROM (\(settledPolls)) AS settled
    WHERE known.tenant_id = $1 AND known.store_id = settled.store_id AND known.at = settled.at
      AND known.is_active <> settled.is_active
    """
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
}
