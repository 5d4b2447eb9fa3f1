import NIOCore

/// A bucket of calls that refills evenly: at most `perMinute` at once, and as many in every minute. Whole again after a
/// minute of rest.
///
/// Held as one instant, at which it will be full: each call moves that on by the time one call takes to come back
/// (the generic cell rate algorithm of ITU-T I.371). Nothing ticks, and nothing is lost to rounding.
struct TokenBucket: Sendable, Hashable {
  let perMinute: Int
  private var fullAt: NIODeadline = .uptimeNanoseconds(0)

  init(perMinute: Int) {
    precondition((1...Self.maxPerMinute).contains(perMinute), "a bucket for \(perMinute) calls a minute")
    self.perMinute = perMinute
  }

  /// What identity leases at most (`BudgetRequest.per_minute`).
  static let maxPerMinute = 10_000_000
  private static let minute: Int64 = 60_000_000_000

  /// How long one call takes to come back, rounded up: never more than `perMinute` in a minute.
  private var interval: Int64 { (Self.minute + Int64(perMinute) - 1) / Int64(perMinute) }

  /// What is missing until it is full, as time.
  private func debt(_ now: NIODeadline) -> Int64 { max(0, (fullAt - now).nanoseconds) }

  /// Takes one call; false, and nothing has changed, when there is none.
  mutating func take(now: NIODeadline) -> Bool {
    let debt = debt(now) + interval
    guard debt <= interval * Int64(perMinute) else { return false }
    fullAt = now + .nanoseconds(debt)
    return true
  }

  /// Puts back a call that was taken and not made.
  mutating func putBack() {
    fullAt = fullAt - .nanoseconds(interval)
  }

  func remaining(now: NIODeadline) -> Int {
    Int((interval * Int64(perMinute) - debt(now)) / interval)
  }

  /// Until there is one call.
  func wait(now: NIODeadline) -> TimeAmount {
    .nanoseconds(max(0, debt(now) - interval * Int64(perMinute - 1)))
  }

  func untilFull(now: NIODeadline) -> TimeAmount { .nanoseconds(debt(now)) }

  func isFull(now: NIODeadline) -> Bool { fullAt <= now }
}
