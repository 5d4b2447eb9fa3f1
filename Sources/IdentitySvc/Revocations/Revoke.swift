import Postgres

extension Transaction {
  /// Has every Edge forget what it knows of these ids, within seconds of the commit. Late in a transaction: others that
  /// revoke wait for its end.
  func revoke(_ ids: [String], now: Instant) async throws {
    guard !ids.isEmpty else { return }
    try await executeCount(InsertRevocations(ids: ids, now: now))
  }
}

struct InsertRevocations: Statement {
  static let name = "InsertRevocations"
  static let sql = "SELECT identity.revoke($1, $2)"
  var ids: [String]
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(ids)
    bindings.append(now)
  }
}
