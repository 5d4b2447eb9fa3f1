import NIOCore

/// What one Edge has of a budget that several share: it takes a few calls at a time from identity, a little ahead of need,
/// and lets through what it has.
///
/// Values in, values out. Whoever finds nothing here waits until identity has answered.
struct SharedBudget: Sendable {
  enum Ruling: Sendable, Hashable {
    case go
    /// Identity is to be asked, or has been and will answer.
    case wait
    /// Spent by all Edges together; there will be one again then.
    case spent(until: NIODeadline)
  }

  let perMinute: Int
  private var calls = 0
  private var expiresAt = NIODeadline.uptimeNanoseconds(0)
  private var spentUntil = NIODeadline.uptimeNanoseconds(0)
  /// What was left for everyone, as identity said last.
  private var left: (calls: Int, until: NIODeadline)?
  /// Let through since identity was asked.
  private var used = 0
  private(set) var isAsking = false

  init(perMinute: Int) {
    self.perMinute = perMinute
  }

  /// A fiftieth of the budget at most: what is not used in time is lost to everyone.
  private var ahead: Int { min(used, perMinute / 50) }

  mutating func take(now: NIODeadline) -> Ruling {
    if now >= expiresAt { calls = 0 }
    if calls > 0 {
      calls -= 1
      used += 1
      return .go
    }
    return now < spentUntil ? .spent(until: spentUntil) : .wait
  }

  /// Whether it is time to ask, with so many that wait.
  func wants(waiting: Int, now: NIODeadline) -> Bool {
    !isAsking && now >= spentUntil && (waiting > 0 || (now < expiresAt ? calls : 0) < ahead)
  }

  /// Begins to ask.
  /// - Returns: for how many.
  mutating func ask(waiting: Int) -> Int {
    isAsking = true
    defer { used = 0 }
    return min(max(1, waiting + ahead), perMinute)
  }

  mutating func granted(
    _ granted: Int, until: NIODeadline, left: Int, availableAt: NIODeadline?, now: NIODeadline
  ) {
    isAsking = false
    if now >= expiresAt { calls = 0 }
    calls += granted
    expiresAt = until
    self.left = (left, until)
    if granted == 0 { spentUntil = availableAt ?? now + .nanoseconds(60_000_000_000 / Int64(perMinute)) }
  }

  mutating func askingFailed() { isAsking = false }

  /// What there is still to be had, as far as that is known.
  func remaining(now: NIODeadline) -> Int {
    if now < spentUntil { return 0 }
    guard let left, now < left.until else { return perMinute }
    return left.calls + (now < expiresAt ? calls : 0)
  }
}
