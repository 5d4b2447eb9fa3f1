import RPC
import Synchronization

/// Bounds the imports that run at once: each holds a database connection for as long as its upload takes.
final class ImportSlots: Sendable {
  private let used = Mutex(0)
  private let limit: Int

  init(limit: Int = 4) { self.limit = limit }

  func withSlot<Result>(_ body: () async throws -> Result) async throws -> Result {
    let isFree = used.withLock { used in
      guard used < limit else { return false }
      used += 1
      return true
    }
    guard isFree else { throw ImportError.tooManyImports.rpcError }
    defer { used.withLock { $0 -= 1 } }
    return try await body()
  }
}
