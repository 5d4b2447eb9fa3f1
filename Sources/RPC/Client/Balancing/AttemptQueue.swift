import DequeModule

/// Attempts that wait for a connection, or for the peer to allow another stream, in the order they came. One whose call
/// ends meanwhile is taken out.
struct AttemptQueue {
  private var attempts = Deque<ClientAttempt>()
  private let metrics: ClientConnectionMetrics?

  init(_ metrics: ClientConnectionMetrics?) {
    self.metrics = metrics
  }

  var count: Int { attempts.count }
  var isEmpty: Bool { attempts.isEmpty }
  var first: ClientAttempt? { attempts.first }

  mutating func append(_ attempt: ClientAttempt) {
    attempts.append(attempt)
    metrics?.beganWaiting()
  }

  /// Has no effect when it is not there.
  mutating func remove(_ attempt: ClientAttempt) {
    guard let index = attempts.firstIndex(where: { $0 === attempt }) else { return }
    attempts.remove(at: index)
    metrics?.endedWaiting()
  }

  /// Returns those that were removed.
  mutating func removeAll(where isRemoved: (ClientAttempt) -> Bool) -> [ClientAttempt] {
    let removed = attempts.filter(isRemoved)
    guard !removed.isEmpty else { return [] }
    attempts.removeAll(where: isRemoved)
    metrics?.endedWaiting(removed.count)
    return Array(removed)
  }

  func forEach(_ body: (ClientAttempt) -> Void) { attempts.forEach(body) }
}
