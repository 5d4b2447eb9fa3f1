import MainstreetAPI
import Postgres
import RPC

extension AccessService {
  /// Looks twice a second and says every time what it saw: silence is how a watcher learns that it does not hear.
  func watchRevocations(
    _ request: WatchRevocationsRequest, _ responses: ResponseWriter<Revocations>, _ context: CallContext
  ) async throws {
    var heard = request.after.map { Int64(clamping: $0) }
    while true {
      let message = try await nextRevocations(after: heard)
      heard = Int64(clamping: message.sequence)
      try await responses.write(message)
      // What there is more than one message holds follows at once.
      if message.ids.count < Self.mostRevocations { try await Task.sleep(for: revocationInterval) }
    }
  }

  private static let mostRevocations = 1000

  /// - Parameter heard: the last number the watcher knows of; nil to begin with what there is now.
  private func nextRevocations(after heard: Int64?) async throws -> Revocations {
    let (bounds, found) = try await postgres.executeBatch(
      FindRevocationBounds(), ListRevocations(after: heard ?? .max, most: Self.mostRevocations), tenant: nil)
    guard let bounds = bounds.first else { throw RPCError(.internal, "there is no counter of revocations") }
    guard let heard else { return Revocations(sequence: UInt64(bounds.last)) }
    // Too old to tell what came since, or of a future that a restored database does not know of.
    // Numbers have no gaps, so one is seen.
    guard heard <= bounds.last, heard + 1 >= bounds.first, (found.first?.sequence ?? heard + 1) == heard + 1
    else {
      return Revocations(sequence: UInt64(bounds.last), reset: true)
    }
    return Revocations(ids: found.map(\.id), sequence: UInt64(found.last?.sequence ?? heard))
  }
}

struct FindRevocationBounds: Statement {
  static let name = "FindRevocationBounds"
  static let sql = "SELECT first, last FROM identity.revocation_bounds()"
  static let isIdempotent = true
  static func decode(_ row: inout RowReader) throws -> (first: Int64, last: Int64) {
    (try row.next(), try row.next())
  }
}

struct ListRevocations: Statement {
  static let name = "ListRevocations"
  static let sql = "SELECT sequence, id FROM identity.revocations_after($1, $2)"
  static let isIdempotent = true
  var after: Int64
  var most: Int

  func bind(into bindings: inout Bindings) {
    bindings.append(after)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> (sequence: Int64, id: String) {
    (try row.next(), try row.next())
  }
}
