import NIOCore

/// How often something may happen: `burst` times at once, and `perSecond` times a second over time.
package struct RateLimit: Sendable, Equatable {
  package var burst: Int
  package var perSecond: Int

  package init(burst: Int, perSecond: Int) {
    self.burst = burst
    self.perSecond = perSecond
  }
}

/// Tokens that events take, and that time and useful events give back, up to the burst.
///
/// The clock is asked only when the tokens have run out: on the path that every frame takes, taking one is a
/// comparison and a subtraction.
struct TokenBucket {
  private let limit: RateLimit
  private(set) var tokens: Int
  /// Up to when time has given its tokens.
  private var refilledAt: NIODeadline

  init(_ limit: RateLimit, now: NIODeadline) {
    self.limit = limit
    tokens = limit.burst
    refilledAt = now
  }

  /// False when there are not enough tokens; then none are taken.
  mutating func take(_ count: Int, now: @autoclosure () -> NIODeadline) -> Bool {
    if tokens < count { refill(now()) }
    guard tokens >= count else { return false }
    tokens -= count
    return true
  }

  mutating func give(_ count: Int) {
    tokens = min(tokens + count, limit.burst)
  }

  private mutating func refill(_ now: NIODeadline) {
    let elapsed = max((now - refilledAt).nanoseconds, 0)
    // After so long it is full, and the product below would overflow after some years more.
    guard elapsed / 1_000_000_000 <= limit.burst / max(limit.perSecond, 1) else {
      tokens = limit.burst
      refilledAt = now
      return
    }
    let earned = elapsed * Int64(limit.perSecond) / 1_000_000_000
    guard earned > 0 else { return }
    // To the moment at which the last whole token was earned: the rest of the time is not lost.
    refilledAt = refilledAt + .nanoseconds(earned * 1_000_000_000 / Int64(limit.perSecond))
    give(Int(earned))
  }
}
