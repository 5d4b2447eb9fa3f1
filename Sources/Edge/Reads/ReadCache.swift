import Metrics
import NIOCore
import RPC
import Synchronization

/// Answers of reads that may be a little old, where the contract allows that of an rpc. However many ask at once, one of
/// them fetches; what is past its time is given while one fetches anew. Bounded by bytes; shared by all loops, never by
/// tenants.
final class ReadCache: Sendable {
  private struct State {
    var cache: ReadCacheState
    var waiters: [UInt64: CheckedContinuation<Wake, Never>] = [:]
    /// For those that were woken before they slept.
    var early: [UInt64: Wake] = [:]
    var nextWaiter: UInt64 = 0

    /// Returns the one to resume.
    mutating func wake(_ waiter: UInt64, _ wake: Wake) -> CheckedContinuation<Wake, Never>? {
      guard let continuation = waiters.removeValue(forKey: waiter) else {
        early[waiter] = wake
        return nil
      }
      return continuation
    }
  }

  private enum Wake {
    case ended(ReadCacheState.Ending)
    case fetch
    case cancelled
  }

  private let state: Mutex<State>
  private let now: @Sendable () -> NIODeadline
  private let given: (fresh: Counter, stale: Counter, joined: Counter, fetched: Counter)

  init(
    maxBytes: Int = 8 << 20, maxAnswerBytes: Int = 256 << 10,
    metrics: any MetricsFactory = MetricsSystem.factory,
    now: @escaping @Sendable () -> NIODeadline = { .now() }
  ) {
    state = Mutex(State(cache: ReadCacheState(maxBytes: maxBytes, maxAnswerBytes: maxAnswerBytes)))
    self.now = now
    func counter(_ outcome: String) -> Counter {
      Counter(label: "read_cache_answers_total", dimensions: [("outcome", outcome)], factory: metrics)
    }
    given = (counter("fresh"), counter("stale"), counter("joined"), counter("fetched"))
  }

  var usage: (answers: Int, bytes: Int) { state.withLock { ($0.cache.count, $0.cache.bytes) } }

  /// The answer to a read, and whether the caller, once it has passed that on, is to `refresh` it.
  func answer(
    _ key: ReadKey, _ policy: ReadPolicy, fetch: () async throws -> ReadAnswer
  ) async throws -> (answer: ReadAnswer, isToRefresh: Bool) {
    switch await ask(key, policy) {
    case .fresh(let answer):
      given.fresh.increment()
      return (answer, false)
    case .stale(let answer, let fetches):
      given.stale.increment()
      return (answer, fetches)
    case .fetch:
      return (try await fetched(key, fetch), false)
    case .waited(.ended(.answered(let answer))):
      given.joined.increment()
      return (answer, false)
    case .waited(.ended(.failed(let error))): throw error
    case .waited(.fetch): return (try await fetched(key, fetch), false)
    case .waited(.ended(.abandoned)), .waited(.cancelled): throw CancellationError()
    }
  }

  /// Fetches what was given stale. What goes wrong is the next caller's to see, who fetches again.
  func refresh(_ key: ReadKey, fetch: () async throws -> ReadAnswer) async {
    _ = try? await fetched(key, fetch)
  }

  private enum Asked {
    case fresh(ReadAnswer)
    case stale(ReadAnswer, Bool)
    case fetch
    case waited(Wake)
  }

  private func ask(_ key: ReadKey, _ policy: ReadPolicy) async -> Asked {
    let now = now()
    var waiter: UInt64 = 0
    let decision = state.withLock { state in
      state.nextWaiter += 1
      waiter = state.nextWaiter
      return state.cache.ask(key, policy, waiter, now)
    }
    switch decision {
    case .fresh(let answer): return .fresh(answer)
    case .stale(let answer, let fetches): return .stale(answer, fetches)
    case .fetch: return .fetch
    case .wait: return .waited(await wait(for: key, as: waiter))
    }
  }

  private func wait(for key: ReadKey, as waiter: UInt64) async -> Wake {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let wake = state.withLock { state in
          let wake = state.early.removeValue(forKey: waiter)
          if wake == nil { state.waiters[waiter] = continuation }
          return wake
        }
        if let wake { continuation.resume(returning: wake) }
      }
    } onCancel: {
      let continuation = state.withLock { state in
        state.cache.leave(key, waiter) ? state.wake(waiter, .cancelled) : nil
      }
      continuation?.resume(returning: .cancelled)
    }
  }

  private func fetched(_ key: ReadKey, _ fetch: () async throws -> ReadAnswer) async throws -> ReadAnswer {
    do {
      let answer = try await fetch()
      given.fetched.increment()
      ended(key, .answered(answer))
      return answer
    } catch {
      // Whoever waits for it has not gone away.
      let isAbandoned =
        Task.isCancelled || error is CancellationError || (error as? RPCError)?.code == .cancelled
      ended(key, isAbandoned ? .abandoned : .failed(error))
      throw error
    }
  }

  private func ended(_ key: ReadKey, _ ending: ReadCacheState.Ending) {
    let now = now()
    let (woken, successor) = state.withLock { state in
      let ended = state.cache.ended(key, ending, now)
      return (
        ended.woken.compactMap { state.wake($0, .ended(ending)) },
        ended.successor.flatMap { state.wake($0, .fetch) }
      )
    }
    for continuation in woken { continuation.resume(returning: .ended(ending)) }
    successor?.resume(returning: .fetch)
  }
}
