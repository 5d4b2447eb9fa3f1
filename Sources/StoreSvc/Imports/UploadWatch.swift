import Synchronization

/// Ends an import whose upload is silent or takes too long: it holds a slot, a connection and a transaction.
final class UploadWatch: Sendable {
  private let limits: ImportLimits
  /// Since when the import waits for a piece; nil while it works on one.
  private let waitingSince = Mutex<ContinuousClock.Instant?>(nil)

  init(_ limits: ImportLimits) { self.limits = limits }

  func run<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
      group.addTask { try await body() }
      group.addTask { throw try await self.overrun().rpcError }
      defer { group.cancelAll() }
      guard let result = try await group.next() else { throw CancellationError() }
      return result
    }
  }

  /// From now on the uploader has `limits.silence` for the next piece.
  func waits() { waitingSince.withLock { $0 = .now } }

  func works() { waitingSince.withLock { $0 = nil } }

  /// Returns once a limit has passed, and which.
  private func overrun() async throws -> ImportError {
    let end = ContinuousClock.now + limits.total
    while true {
      let now = ContinuousClock.now
      guard now < end else { return .tookTooLong(limits.total) }
      let silenceEnds = (waitingSince.withLock { $0 } ?? now) + limits.silence
      guard now < silenceEnds else { return .silent(limits.silence) }
      try await Task.sleep(until: min(end, silenceEnds))
    }
  }
}
