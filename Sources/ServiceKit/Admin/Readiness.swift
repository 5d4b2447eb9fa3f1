import Synchronization

/// Whether the service can take work: every address it promised is bound and none of its parts has reported
/// trouble.
package final class Readiness: Sendable {
  private struct State {
    var addresses: [String: String] = [:]
    /// What the parts have last reported, in the order in which they first did.
    var parts: [(name: String, trouble: String?)] = []
    var isDraining = false
    var wasReady = false
    var watchers: [Int: AsyncStream<Bool>.Continuation] = [:]
    var nextWatcher = 0
  }

  private let state = Mutex(State())
  private let promised: [String]
  private let readyFile: ReadyFile?

  package init(promised: [String], readyFile: ReadyFile?) {
    self.promised = promised
    self.readyFile = readyFile
    change { _ in }
  }

  /// Says what is wrong with a part of the service, or with nil that all is well with it.
  package func report(_ trouble: String?, of part: String) {
    change { state in
      if let index = state.parts.firstIndex(where: { $0.name == part }) {
        state.parts[index].trouble = trouble
      } else {
        state.parts.append((part, trouble))
      }
    }
  }

  /// Tells that a listener is bound, e.g. `("grpc", "127.0.0.1:40123")`.
  package func announce(_ listener: String, at address: String) {
    let addresses = change { state in
      state.addresses[listener] = address
      return state.addresses
    }
    if promised.allSatisfy({ addresses[$0] != nil }) { readyFile?.write(addresses) }
  }

  /// From here on new work goes elsewhere; running work is finished.
  package func drain() { change { $0.isDraining = true } }

  /// Whether `obstacles` is empty, for those who ask often.
  package var isReady: Bool { state.withLock { $0.wasReady } }

  /// Whether all is well with a part; nil for one that has not been reported of.
  package func isWell(_ part: String) -> Bool? {
    state.withLock { state in state.parts.first { $0.name == part }.map { $0.trouble == nil } }
  }

  /// Whether the service is ready, now and at each change. Who reads slowly sees the latest state, not every one.
  package var states: AsyncStream<Bool> {
    let (stream, continuation) = AsyncStream<Bool>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let watcher = state.withLock { state in
      defer { state.nextWatcher += 1 }
      state.watchers[state.nextWatcher] = continuation
      continuation.yield(state.wasReady)
      return state.nextWatcher
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.watchers.removeValue(forKey: watcher) }
    }
    return stream
  }

  /// A line per thing that keeps the service from being ready.
  package var obstacles: [String] { state.withLock { obstacles($0) } }

  private func obstacles(_ state: State) -> [String] {
    (state.isDraining ? ["shutting down"] : [])
      + promised.filter { state.addresses[$0] == nil }.map { "\($0): not listening yet" }
      + state.parts.compactMap { part in part.trouble.map { "\(part.name): \($0)" } }
  }

  /// Changes the state and tells the watchers if that made the service ready or kept it from being so.
  @discardableResult
  private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
    state.withLock { state in
      let result = body(&state)
      let isReady = obstacles(state).isEmpty
      if isReady != state.wasReady {
        state.wasReady = isReady
        // Under the lock, so that no watcher sees two changes in the wrong order.
        for watcher in state.watchers.values { watcher.yield(isReady) }
      }
      return result
    }
  }
}
