import Postgres

/// What `pgbench -S` reads.
struct Balance: Statement {
  static let name = "Balance"
  static let sql = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
  static let isIdempotent = true
  var account: Int32

  func bind(into bindings: inout Bindings) { bindings.append(account) }
  static func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}

/// The same of a tenant's own, as every table of ours has it.
struct TenantBalance: Statement {
  static let name = "TenantBalance"
  static let sql = "SELECT abalance FROM tenant_accounts WHERE tenant_id = $1 AND aid = $2"
  static let isIdempotent = true
  var tenant: UUID
  var account: Int32

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(account)
  }
  static func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}

/// A row as `Benchmarks/postgres` writes it into the file for psql.
struct Event {
  let id: Int64
  let at: PostgresTimestamp
  let note: String

  init(_ number: Int) {
    id = Int64(number)
    at = PostgresTimestamp(microseconds: 1_700_000_000_000_000 + Int64(number) * 1_000_000)
    note = "event number \(number) of a shop"
  }
}

struct InsertEvents: Statement {
  static let name = "InsertEvents"
  static let sql = """
    INSERT INTO bench_events (id, at, note) SELECT id, at, note FROM unnest($1, $2, $3) AS event (id, at, note)
    """
  var numbers: Range<Int>

  func bind(into bindings: inout Bindings) {
    let events = numbers.map { Event($0) }
    bindings.append(events.map(\.id))
    bindings.append(events.map(\.at))
    bindings.append(events.map(\.note))
  }
}
