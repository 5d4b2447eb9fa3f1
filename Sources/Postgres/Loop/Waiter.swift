internal import Synchronization

/// Something whose continuation can be resumed once its outcome has been set.
protocol Resumable: AnyObject {
  func resume()
}

private enum State {
  static let created: UInt8 = 0
  static let waiting: UInt8 = 1
  static let finished: UInt8 = 2
  static let delivered: UInt8 = 3
}

/// One caller waiting for one outcome: the meeting point of a task and the connections' thread.
///
/// Whoever moves the state to `finished` first decides: the thread with an outcome, or the task's cancellation.
class Waiter<Outcome: Sendable>: Resumable, @unchecked Sendable {
  private let state = Atomic<UInt8>(State.created)
  // Written before the state becomes `waiting`, and read by the one who makes it `finished`.
  private var continuation: UnsafeContinuation<Outcome, any Error>?
  private var outcome: Result<Outcome, any Error>?
  /// What the task runs on, if it prefers an executor. Written and read like the continuation.
  final private(set) var executor: UnownedTaskExecutor?
  /// Others on the same executor, whose outcomes are set too: the task resumes them when it gets to run.
  final var companions: [Waiter] = []

  /// Suspends until there is an outcome.
  /// - Parameters:
  ///   - submit: hands this to the thread; not called if the task is cancelled already.
  ///   - abandon: called when cancellation came first.
  final func wait(
    isCancellable: Bool = true, submit: () -> Void, abandon: @escaping @Sendable () -> Void = {}
  ) async throws -> Outcome {
    // The continuation orders what the thread wrote before what the caller reads, in a way ThreadSanitizer does
    // not see; this it does.
    defer {
      _ = state.load(ordering: .acquiring)
      if !companions.isEmpty { resumeCompanions() }
    }
    guard isCancellable else {
      return try await withUnsafeThrowingContinuation { continuation in
        start(continuation, submit)
      }
    }
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        start(continuation, submit)
      }
    } onCancel: {
      if cancel() { abandon() }
    }
  }

  private func start(_ continuation: UnsafeContinuation<Outcome, any Error>, _ submit: () -> Void) {
    self.continuation = continuation
    executor = withUnsafeCurrentTask { $0?.unownedTaskExecutor }
    let (isFirst, _) = state.compareExchange(
      expected: State.created, desired: State.waiting, ordering: .acquiringAndReleasing)
    if isFirst { submit() } else { continuation.resume(throwing: CancellationError()) }
  }

  /// True if something was handed to the thread that nobody waits for any more.
  private func cancel() -> Bool {
    let (wasCreated, _) = state.compareExchange(
      expected: State.created, desired: State.finished, ordering: .acquiringAndReleasing)
    if wasCreated { return false }
    guard finish(.failure(CancellationError())) else { return false }
    resume()
    return true
  }

  /// Sets the outcome; false if there is one already. The winner calls `resume` when it suits it.
  final func finish(_ outcome: Result<Outcome, any Error>) -> Bool {
    let (isFirst, _) = state.compareExchange(
      expected: State.waiting, desired: State.finished, ordering: .acquiringAndReleasing)
    if isFirst { self.outcome = outcome }
    return isFirst
  }

  final func resume() {
    guard let outcome, let continuation else { return }
    self.continuation = nil
    self.outcome = nil
    state.store(State.delivered, ordering: .releasing)
    continuation.resume(with: outcome)
  }

  private final func resumeCompanions() {
    for companion in companions { companion.resume() }
    companions = []
  }

  final var isFinished: Bool { state.load(ordering: .relaxed) >= State.finished }
}

extension Array {
  /// Resumes all of them and forgets them.
  ///
  /// To hand an event loop a task from another thread costs a lock and, where the loop sleeps, a system call and a
  /// switch of threads; one with little to do sleeps again before the next comes. So each executor is given one task,
  /// which resumes the others there, where it costs neither. They would have waited for that executor anyway.
  mutating func resumeAll<Outcome>() where Element: Waiter<Outcome> {
    var firsts: [Element] = []
    for waiter in self {
      guard let executor = waiter.executor else {
        waiter.resume()
        continue
      }
      if let first = firsts.first(where: { $0.executor == executor }) {
        first.companions.append(waiter)
      } else {
        firsts.append(waiter)
      }
    }
    removeAll(keepingCapacity: true)
    for first in firsts { first.resume() }
  }
}
