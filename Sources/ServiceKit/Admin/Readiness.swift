import Synchronization

/// Whether the service can take work: every address it promised is bound and every check passes.
package final class Readiness: Sendable {
  /// Says what is wrong, or nothing when all is well. Must answer at once: it is a look at known state,
  /// not a probe.
  package typealias Check = @Sendable () -> String?

  private struct State {
    var addresses: [String: String] = [:]
    var checks: [(name: String, check: Check)] = []
    var isDraining = false
  }

  private let state = Mutex(State())
  private let promised: [String]
  private let readyFile: ReadyFile?

  package init(promised: [String], readyFile: ReadyFile?) {
    self.promised = promised
    self.readyFile = readyFile
  }

  package func addCheck(_ name: String, _ check: @escaping Check) {
    state.withLock { $0.checks.append((name, check)) }
  }

  /// Tells that a listener is bound, e.g. `("grpc", "127.0.0.1:40123")`.
  package func announce(_ listener: String, at address: String) {
    let addresses = state.withLock { state in
      state.addresses[listener] = address
      return state.addresses
    }
    if promised.allSatisfy({ addresses[$0] != nil }) { readyFile?.write(addresses) }
  }

  /// From here on new work goes elsewhere; running work is finished.
  package func drain() { state.withLock { $0.isDraining = true } }

  var isDraining: Bool { state.withLock { $0.isDraining } }

  /// Whether `obstacles` is empty, for those who ask often.
  var isReady: Bool {
    let (isDraining, isBound, checks) = state.withLock { state in
      (state.isDraining, state.addresses.count >= promised.count, state.checks)
    }
    return !isDraining && isBound && checks.allSatisfy { $0.check() == nil }
  }

  /// A line per thing that keeps the service from being ready.
  package var obstacles: [String] {
    let state = state.withLock { $0 }
    return (state.isDraining ? ["shutting down"] : [])
      + promised.filter { state.addresses[$0] == nil }.map { "\($0): not listening yet" }
      + state.checks.compactMap { name, check in check().map { "\(name): \($0)" } }
  }
}
