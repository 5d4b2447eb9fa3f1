internal import CLibpq

/// Reads the columns of one row from left to right.
///
/// Strict: a column of another type, a NULL where the Swift type has none, and a number of columns that is not
/// the number read are errors that name statement and column.
package struct RowReader {
  private let result: OpaquePointer
  private let row: Int32
  private let statement: String
  private var column: Int32 = 0

  init(_ result: OpaquePointer, row: Int32, statement: String) {
    self.result = result
    self.row = row
    self.statement = statement
  }

  /// The next column, as `Value`; `Value?` where it may be NULL.
  package mutating func next<Value: PostgresDecodable>(_: Value.Type = Value.self) throws -> Value {
    guard column < PQnfields(result) else {
      throw mismatch("has \(PQnfields(result)) columns, and more were read")
    }
    defer { column += 1 }
    let type = PostgresType(rawValue: PQftype(result, column))
    guard Value.accepts(type) else { throw mismatch("is \(type), not \(Value.postgresType)") }
    guard PQgetisnull(result, row, column) == 0 else {
      guard let null = Value.null else { throw mismatch("is NULL") }
      return null
    }
    let length = Int(PQgetlength(result, row, column))
    var reader = WireReader(UnsafeRawBufferPointer(start: PQgetvalue(result, row, column), count: length))
    do {
      return try reader.readWhole()
    } catch {
      throw mismatch(error.message)
    }
  }

  func finish() throws {
    guard column == PQnfields(result) else {
      throw PostgresError.decoding(
        "\(column) of \(PQnfields(result)) columns were read", statement: statement)
    }
  }

  private func mismatch(_ complaint: String) -> PostgresError {
    let name = PQfname(result, column).map { " \(String(cString: $0))" } ?? ""
    return .decoding("column \(column + 1)\(name) \(complaint)", statement: statement)
  }
}

/// The answer to one statement. Owns the memory libpq allocated for it, which is why rows are decoded by the
/// caller, on its own thread, rather than by the one that reads sockets.
final class StatementResult: @unchecked Sendable {
  // Only read after the connection's thread has handed it over.
  private let result: OpaquePointer

  init(owning result: OpaquePointer) { self.result = result }

  deinit { PQclear(result) }

  func rows<S: Statement>(of _: S.Type) throws -> [S.Row] {
    let count = PQntuples(result)
    var rows: [S.Row] = []
    rows.reserveCapacity(Int(count))
    for row in 0..<count { rows.append(try decode(S.self, row: row)) }
    return rows
  }

  func onlyRow<S: Statement>(of _: S.Type) throws -> S.Row? {
    switch PQntuples(result) {
    case 0: nil
    case 1: try decode(S.self, row: 0)
    case let count:
      throw PostgresError.decoding("\(count) rows where at most one was expected", statement: S.name)
    }
  }

  private func decode<S: Statement>(_: S.Type, row: Int32) throws -> S.Row {
    var reader = RowReader(result, row: row, statement: S.name)
    let value = try S.decode(&reader)
    // A statement whose rows are Void is run for its effect; what it returns is nobody's business.
    if S.Row.self != Void.self { try reader.finish() }
    return value
  }

  /// Rows inserted, updated, deleted, selected or copied.
  var affectedRows: Int { Self.affectedRows(result) }

  /// `COMMIT`, `INSERT 0 1`, …
  var commandTag: String { String(cString: PQcmdStatus(result)) }

  static func affectedRows(_ result: OpaquePointer) -> Int {
    PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0
  }
}
