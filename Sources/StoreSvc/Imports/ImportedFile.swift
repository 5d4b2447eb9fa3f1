import NIOCore
import Postgres

/// What the three kinds of import differ in.
protocol ImportedFile: Sendable {
  /// As `store.imports` records it.
  static var kind: String { get }
  /// For each column the names it goes by in a header, the usual one first. The first column is the store.
  static var columns: [[String]] { get }
  /// The temporary table that the rows of the file go to, and the columns of it that `parse` writes, in order.
  static var staging: Staging { get }

  /// Checks one record and appends it to `rows` in the form of a binary COPY.
  /// - Parameters:
  ///   - fields: where the columns are in `text`, in the order of `columns`.
  ///   - store: the store's number in this file.
  mutating func parse(
    _ text: Span<UInt8>, _ fields: [Range<Int>], line: Int32, store: Int32, into rows: inout ByteBuffer
  ) throws(Rejection)

  /// Moves what was staged to where it belongs. `import_stores` by then tells each number's store.
  /// - Parameter postgres: for what must not wait for the import to end.
  /// - Returns: how many rows were stored; the others were duplicates.
  func merge(_ transaction: Transaction, tenant: UUID, _ postgres: PostgresClient) async throws -> Int
}

struct Staging {
  var table: String
  var definition: String

  var create: String { "CREATE TEMPORARY TABLE \(table) (\(definition)) ON COMMIT DROP" }
}

/// Why a row was refused, as a stable code and a sentence.
struct Rejection: Error, Hashable {
  var code: String
  var message: String
}

extension Rejection {
  static let badStoreID = Rejection(
    code: "INVALID_STORE_ID", message: "store_id must be 1 to 100 characters of valid UTF-8 without NUL")
  static let badStatus = Rejection(
    code: "INVALID_STATUS", message: "status must be active or inactive")
  static let badTimestamp = Rejection(
    code: "INVALID_TIMESTAMP",
    message: "timestamp_utc must look like 2023-01-22 12:09:39.388884 UTC or RFC 3339")
  static let badDay = Rejection(
    code: "INVALID_DAY", message: "the day must be 0 (Monday) to 6 (Sunday)")
  static let badTime = Rejection(
    code: "INVALID_TIME", message: "times must look like 09:00 or 09:00:00; an end may be 24:00")
  static let tooManyHours = Rejection(
    code: "TOO_MANY_HOURS", message: "a store has at most \(HoursFile.mostPerStore) opening hours")
  static func wrongFieldCount(_ count: Int, expected: Int) -> Rejection {
    Rejection(code: "WRONG_FIELD_COUNT", message: "the row has \(count) fields and the header \(expected)")
  }
}

/// Rows go to Postgres in the layout of a binary COPY: for each its number of fields, for each field its length in
/// bytes and the value, big-endian (PostgreSQL manual, COPY, "Binary Format").
extension ByteBuffer {
  mutating func writeCopyHeader() {
    writeBytes([0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00])
    writeInteger(0 as Int64)
  }
}
