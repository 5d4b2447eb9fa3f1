internal import Synchronization

/// Who in this process wants to hear of what, and what other processes are to be told.
final class Doorbells: Sendable {
  private struct State {
    var bells: [String: [ObjectIdentifier: @Sendable () -> Void]] = [:]
    var untold: Set<String> = []
  }

  private let state = Mutex(State())
  /// Something is to be told.
  let signal = Signal()

  /// Names that are no queue's. Running jobs are to be cancelled.
  static let cancellations = "\u{1}cancel"
  /// Jobs may soon be due.
  static let schedule = "\u{1}schedule"

  func listen(to queue: String, as listener: AnyObject, _ bell: @escaping @Sendable () -> Void) {
    state.withLock { $0.bells[queue, default: [:]][ObjectIdentifier(listener)] = bell }
  }

  func dismiss(_ listener: AnyObject) {
    let id = ObjectIdentifier(listener)
    state.withLock { state in
      for queue in state.bells.keys { state.bells[queue]?[id] = nil }
    }
  }

  /// Rings for everybody in this process who listens to the queue.
  func ring(_ queue: String) {
    let bells = state.withLock { $0.bells[queue].map { Array($0.values) } ?? [] }
    for bell in bells { bell() }
  }

  func ringAll() {
    let bells = state.withLock { $0.bells.values.flatMap(\.values) }
    for bell in bells { bell() }
  }

  /// Other processes are to ring too.
  func tell(_ queue: String) {
    if state.withLock({ $0.untold.insert(queue).inserted }) { signal.notify() }
  }

  func takeUntold() -> [String] {
    state.withLock { state in
      defer { state.untold.removeAll(keepingCapacity: true) }
      return Array(state.untold)
    }
  }
}
