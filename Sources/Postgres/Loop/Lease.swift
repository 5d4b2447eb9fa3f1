internal import NIOCore
internal import Synchronization

/// A connection in the hands of one caller, who must `release` it once.
final class Lease: Sendable {
  private let loop: IOLoop
  private let connection: Connection
  private let discarded = Atomic(false)
  private let copyingOut = Atomic(false)

  init(_ loop: IOLoop, _ connection: Connection) {
    self.loop = loop
    self.connection = connection
  }

  var requiresWrites: Bool { loop.requiresWrites }
  var isDiscarded: Bool { discarded.load(ordering: .relaxed) }
  var isCopyingOut: Bool { copyingOut.load(ordering: .relaxed) }

  func perform(_ request: Request, isCancellable: Bool = true) async throws -> [StatementResult] {
    try await request.wait(
      isCancellable: isCancellable, submit: { loop.submit(.leased(request, connection)) },
      abandon: { self.discard() })
  }

  func script(_ sql: String, deadline: NIODeadline) async throws {
    _ = try await perform(QueryOperation(.script(sql: sql), deadline: deadline))
  }

  func startCopy(_ sql: String, isOut: Bool, deadline: NIODeadline) async throws {
    _ = try await perform(QueryOperation(.startCopy(sql: sql), deadline: deadline))
    copyingOut.store(isOut, ordering: .relaxed)
  }

  func write(_ bytes: ByteBuffer, deadline: NIODeadline) async throws {
    _ = try await perform(QueryOperation(.write(bytes), deadline: deadline))
  }

  /// Returns how many rows were copied.
  func endCopy(failure: String?, deadline: NIODeadline) async throws -> Int {
    guard
      case .done(let rows) = try await perform(
        QueryOperation(.endCopy(failure: failure), deadline: deadline), isCancellable: failure == nil)
    else { return 0 }
    return rows
  }

  /// The next chunk of a copy out; nil at its end.
  func read(deadline: NIODeadline) async throws -> ByteBuffer? {
    guard isCopyingOut else { return nil }
    switch try await perform(QueryOperation(.read, deadline: deadline)) {
    case .chunk(let bytes): return bytes
    case .done:
      copyingOut.store(false, ordering: .relaxed)
      return nil
    }
  }

  /// Closes the connection, after telling the server to stop what it is doing for it.
  func discard() {
    discarded.store(true, ordering: .relaxed)
    loop.submit(.discard(connection))
  }

  /// The server refused a write.
  func demoted() { loop.submit(.demoted(connection)) }

  func release() { loop.submit(.release(connection)) }

  private func perform(
    _ operation: QueryOperation, isCancellable: Bool = true
  ) async throws -> QueryOperation.Outcome {
    try await operation.wait(
      isCancellable: isCancellable, submit: { loop.submit(.query(operation, connection)) },
      abandon: { self.discard() })
  }
}
