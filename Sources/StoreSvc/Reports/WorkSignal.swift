import Synchronization

/// Wakes one waiter. A notice given while nobody waits is kept for the next; several become one.
final class WorkSignal: Sendable {
  private enum State {
    case idle
    case noticed
    case waiting(CheckedContinuation<Void, Never>)
  }

  private let state = Mutex(State.idle)

  func notify() {
    let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
      if case .waiting(let waiter) = state {
        state = .idle
        return waiter
      }
      state = .noticed
      return nil
    }
    waiter?.resume()
  }

  /// Returns at the next notice, at once if there was one, or when `timeout` has passed or the task is cancelled.
  func wait(upTo timeout: Duration) async {
    await withTaskGroup { group in
      group.addTask { await self.wait() }
      group.addTask {
        try? await Task.sleep(for: timeout)
      }
      await group.next()
      group.cancelAll()
    }
  }

  private func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if case .noticed = state {
            state = .idle
            return true
          }
          if Task.isCancelled { return true }
          state = .waiting(continuation)
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
        guard case .waiting(let waiter) = state else { return nil }
        state = .idle
        return waiter
      }
      waiter?.resume()
    }
  }
}
