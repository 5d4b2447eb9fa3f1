internal import Synchronization

/// Wakes one waiter. A notice given while nobody waits is kept for the next wait; several become one.
final class Signal: Sendable {
  private enum State {
    case idle
    case noticed
    case waiting(UnsafeContinuation<Void, Never>)
  }

  private let state = Mutex(State.idle)

  func notify() {
    let waiter: UnsafeContinuation<Void, Never>? = state.withLock { state in
      if case .waiting(let waiter) = state {
        state = .idle
        return waiter
      }
      state = .noticed
      return nil
    }
    waiter?.resume()
  }

  /// Returns at the next notice, at once if there was one, or when the time has come or the task is cancelled.
  func wait(until deadline: ContinuousClock.Instant) async {
    if takeNotice() { return }
    await withTaskGroup { group in
      group.addTask { await self.wait() }
      group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
      await group.next()
      group.cancelAll()
    }
  }

  private func takeNotice() -> Bool {
    state.withLock { state in
      guard case .noticed = state else { return false }
      state = .idle
      return true
    }
  }

  /// Returns at the next notice, or when the task is cancelled.
  func wait() async {
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let isOver = state.withLock { state in
          if case .noticed = state {
            state = .idle
            return true
          }
          if case .waiting = state { preconditionFailure("a signal has one waiter") }
          if Task.isCancelled { return true }
          state = .waiting(continuation)
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      let waiter: UnsafeContinuation<Void, Never>? = state.withLock { state in
        guard case .waiting(let waiter) = state else { return nil }
        state = .idle
        return waiter
      }
      waiter?.resume()
    }
  }
}
