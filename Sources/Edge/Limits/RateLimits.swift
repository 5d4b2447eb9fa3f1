import NIOCore
import Synchronization

/// What a budget is kept for.
struct BudgetKey: Hashable, Sendable {
  /// `tenant:<uuid>`, `account:<uuid>` or `address:<address>`.
  let owner: String
  /// ingest, query, auth or write.
  let rateClass: String

  /// What identity knows it by.
  var name: String { "\(owner):\(rateClass)" }
}

/// How a budget stands, as its user is told.
struct BudgetStatus: Sendable, Hashable {
  var name: String
  var perMinute: Int
  var remaining: Int
  var untilFull: TimeAmount
}

/// Counts calls against budgets: exactly on this Edge, and together with the others through leases of identity.
///
/// A call must be let through by this Edge's own bucket, which alone makes the limit exact where there is one Edge, and by
/// the budget that all share. While identity does not answer, each Edge lets through its part of the limit.
final class RateLimits: Sendable {
  struct Configuration: Sendable {
    /// Whether other Edges count, too.
    var isShared = true
    /// How many Edges there are, for when they cannot be told of each other.
    var edges = 1
    var maxBuckets = 100_000
    /// Calls that wait for identity's answer.
    var maxWaiting = 10_000
    /// After how long identity is asked again that has not answered. Meanwhile nobody waits for it.
    var probeInterval: TimeAmount = .seconds(2)

    init() {}
  }

  enum Ruling: Sendable, Hashable {
    case allowed(BudgetStatus)
    case exceeded(BudgetStatus, retryAfter: TimeAmount)
    /// Too many wait to be told.
    case overloaded
  }

  struct Bucket {
    var local: TokenBucket
    var share: SharedBudget
    /// For when identity does not answer.
    var alone: TokenBucket
    var waiting: [CheckedContinuation<Ruling, Never>] = []
  }

  struct State {
    var buckets: [BudgetKey: Bucket] = [:]
    var asking: Set<BudgetKey> = []
    var waitingCount = 0
    /// Identity has not answered; it is asked again then.
    var probeAt: NIODeadline?
    var sweptAt = NIODeadline.uptimeNanoseconds(0)
    var isRunning = true
  }

  let configuration: Configuration
  let now: @Sendable () -> NIODeadline
  let state = Mutex(State())
  /// An element when there is something to ask for.
  let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  init(
    _ configuration: Configuration = Configuration(), now: @escaping @Sendable () -> NIODeadline = { .now() }
  ) {
    self.configuration = configuration
    self.now = now
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  var bucketCount: Int { state.withLock { $0.buckets.count } }

  /// Takes a call from a budget that is this Edge's alone.
  func takeLocally(_ key: BudgetKey, perMinute: Int) -> Ruling {
    let now = now()
    return state.withLock { state in
      withBucket(key, perMinute, now, &state) { bucket in
        guard bucket.local.take(now: now) else {
          return .exceeded(bucket.status(key, isShared: false, now), retryAfter: bucket.local.wait(now: now))
        }
        return .allowed(bucket.status(key, isShared: false, now))
      }
    }
  }

  func putBack(_ key: BudgetKey) {
    state.withLock { $0.buckets[key]?.local.putBack() }
  }

  /// Takes a call, if that can be told at once; nil when `wait` must be called for the answer.
  func take(_ key: BudgetKey, perMinute: Int) -> Ruling? {
    guard configuration.isShared else { return takeLocally(key, perMinute: perMinute) }
    let now = now()
    let (ruling, isAsking) = state.withLock { state -> (Ruling?, Bool) in
      let probeAt = state.probeAt
      let (ruling, wants) = withBucket(key, perMinute, now, &state) { bucket -> (Ruling?, Bool) in
        guard bucket.local.take(now: now) else {
          let wait = bucket.local.wait(now: now)
          return (.exceeded(bucket.status(key, isShared: true, now), retryAfter: wait), false)
        }
        if let probeAt { return (bucket.takeAlone(key, now), now >= probeAt && !bucket.share.isAsking) }
        switch bucket.share.take(now: now) {
        case .go:
          return (.allowed(bucket.status(key, isShared: true, now)), bucket.share.wants(waiting: 0, now: now))
        case .wait: return (nil, false)
        case .spent(let until):
          bucket.local.putBack()
          return (.exceeded(bucket.status(key, isShared: true, now), retryAfter: until - now), false)
        }
      }
      if wants {
        state.asking.insert(key)
        if probeAt != nil { state.probeAt = now + configuration.probeInterval }
      }
      return (ruling, wants)
    }
    if isAsking { wake.yield() }
    return ruling
  }

  /// The answer to a `take` that could not tell.
  func wait(_ key: BudgetKey) async -> Ruling {
    await withCheckedContinuation { waiter in
      let ruling = state.withLock { state -> Ruling? in
        guard state.isRunning, state.waitingCount < configuration.maxWaiting, state.buckets[key] != nil else {
          return .overloaded
        }
        state.waitingCount += 1
        state.buckets[key]?.waiting.append(waiter)
        if state.buckets[key]?.share.isAsking == false { state.asking.insert(key) }
        return nil
      }
      if let ruling { waiter.resume(returning: ruling) } else { wake.yield() }
    }
  }

  // MARK: Buckets

  private func withBucket<Result>(
    _ key: BudgetKey, _ perMinute: Int, _ now: NIODeadline, _ state: inout State,
    _ body: (inout Bucket) -> Result
  ) -> Result {
    var bucket: Bucket
    if let index = state.buckets.index(forKey: key), state.buckets.values[index].local.perMinute == perMinute
    {
      return body(&state.buckets.values[index])
    }
    makeRoom(now, &state)
    let alone = max(1, perMinute / configuration.edges)
    bucket = Bucket(
      local: TokenBucket(perMinute: perMinute), share: SharedBudget(perMinute: perMinute),
      alone: TokenBucket(perMinute: alone), waiting: state.buckets[key]?.waiting ?? [])
    defer { state.buckets[key] = bucket }
    return body(&bucket)
  }

  /// A bucket that is full is as good as one that is not there. Where none is, the one that is closest gives way: whoever
  /// fills them all gains no more than that.
  private func makeRoom(_ now: NIODeadline, _ state: inout State) {
    guard state.buckets.count >= configuration.maxBuckets else { return }
    // All are looked at no more than once a second, for that takes milliseconds.
    if now - state.sweptAt >= .seconds(1) {
      state.sweptAt = now
      state.buckets = state.buckets.filter { !$0.value.isIdle(now) }
      if state.buckets.count < configuration.maxBuckets { return }
    }
    let candidates = state.buckets.lazy.filter { $0.value.waiting.isEmpty && !$0.value.share.isAsking }
      .prefix(32)
    if let victim = candidates.min(by: {
      $0.value.local.untilFull(now: now) < $1.value.local.untilFull(now: now)
    }) {
      state.buckets[victim.key] = nil
    }
  }
}

extension RateLimits.Bucket {
  func isIdle(_ now: NIODeadline) -> Bool {
    waiting.isEmpty && !share.isAsking && local.isFull(now: now) && alone.isFull(now: now)
  }

  func status(_ key: BudgetKey, isShared: Bool, _ now: NIODeadline) -> BudgetStatus {
    let remaining = local.remaining(now: now)
    return BudgetStatus(
      name: key.rateClass, perMinute: local.perMinute,
      remaining: isShared ? min(remaining, share.remaining(now: now)) : remaining,
      untilFull: local.untilFull(now: now))
  }

  /// For a call that this Edge's own bucket has let through.
  mutating func takeAlone(_ key: BudgetKey, _ now: NIODeadline) -> RateLimits.Ruling {
    var status = status(key, isShared: false, now)
    guard alone.take(now: now) else {
      local.putBack()
      status.remaining = 0
      return .exceeded(status, retryAfter: alone.wait(now: now))
    }
    status.remaining = min(status.remaining, alone.remaining(now: now))
    return .allowed(status)
  }
}
