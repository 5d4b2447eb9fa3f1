/// One SQL statement with its typed parameters and rows.
///
/// ```swift
/// struct FindStore: Statement {
///   static let name = "FindStore"
///   static let sql = "SELECT name, timezone FROM store.stores WHERE tenant_id = $1 AND store_id = $2"
///   static let isIdempotent = true
///   var tenant: UUID
///   var store: UUID
///
///   func bind(into bindings: inout Bindings) {
///     bindings.append(tenant)
///     bindings.append(store)
///   }
///
///   static func decode(_ row: inout RowReader) throws -> (name: String, timezone: String) {
///     (try row.next(), try row.next())
///   }
/// }
/// ```
///
/// It is prepared once per connection, on first use; so `sql` must be the same every time, and so must the
/// types of the bindings.
package protocol Statement: Sendable {
  /// What one row becomes; `Void` for a statement that returns none.
  associatedtype Row: Sendable = Void

  /// Names the statement in metrics, logs and errors.
  static var name: String { get }
  static var sql: String { get }
  /// Whether running twice does no more than running once, as for every read. Only such a statement is sent
  /// again when its connection is lost before the answer arrives.
  static var isIdempotent: Bool { get }

  /// Appends $1, $2, … in order.
  func bind(into bindings: inout Bindings)
  /// Reads every column of a row, in order.
  static func decode(_ row: inout RowReader) throws -> Row
}

extension Statement {
  package static var isIdempotent: Bool { false }
  package func bind(into bindings: inout Bindings) {}
}

extension Statement where Row == Void {
  package static func decode(_ row: inout RowReader) throws {}
}

/// The parameters of one execution.
package struct Bindings: Sendable {
  /// Values behind their lengths, one after another.
  private(set) var writer = WireWriter()
  private(set) var types: [UInt32] = []

  package init() {
    // What most statements need; growing to it would take an allocation for every doubling.
    writer.reserveCapacity(64)
  }

  /// Appends the next parameter. Its SQL type is the value's own, so a parameter for a column of a type unknown
  /// here (an enum, say) is written `$1::the_type` and bound as text.
  package mutating func append<Value: PostgresEncodable>(_ value: Value) {
    types.append(Value.postgresType.rawValue)
    writer.writeValue(value)
  }
}

/// What a connection needs to know of one execution of a statement, with its type gone.
struct Step: Sendable {
  /// Which statement this is, on any connection; nil for one that is sent once and not worth preparing.
  let id: ObjectIdentifier?
  let name: String
  let sql: String
  let isIdempotent: Bool
  let bindings: Bindings

  init<S: Statement>(_ statement: S) {
    id = ObjectIdentifier(S.self)
    name = S.name
    sql = S.sql
    isIdempotent = S.isIdempotent
    var bindings = Bindings()
    statement.bind(into: &bindings)
    self.bindings = bindings
  }

  /// A statement whose SQL is made up when it is needed.
  init<S: Statement>(_ statement: S, unprepared sql: String) {
    id = nil
    name = S.name
    self.sql = sql
    isIdempotent = S.isIdempotent
    var bindings = Bindings()
    statement.bind(into: &bindings)
    self.bindings = bindings
  }

  init(unprepared sql: String, name: String) {
    id = nil
    self.name = name
    self.sql = sql
    isIdempotent = false
    bindings = Bindings()
  }
}
