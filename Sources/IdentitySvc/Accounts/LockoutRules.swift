/// How often somebody may try to sign in.
///
/// An attempt counts as failed from its beginning on, and is taken back when it succeeds: so a thousand attempts at once
/// are not a thousand guesses. When as many have failed as are free, the next has to wait, and twice as long after each
/// further failure.
///
/// | | free | first wait | longest wait | forgotten after |
/// |---|---|---|---|---|
/// | an email, whether there is an account or not | 5 | 30 s | 1 h | 24 h without an attempt |
/// | an address: an IPv4 address or the /64 of an IPv6 address | 50 | 30 s | 1 h | 24 h without an attempt |
struct LockoutRules: Sendable {
  var free: Int
  var firstWait = Duration.seconds(30)
  var longestWait = Duration.hours(1)
  var memory = Duration.hours(24)

  static let account = LockoutRules(free: 5)
  static let address = LockoutRules(free: 50)

  struct State: Hashable, Sendable {
    var failures = 0
    var lastFailedAt: Instant
    var lockedUntil: Instant?
  }

  enum Verdict: Hashable, Sendable {
    case locked(until: Instant)
    /// To be kept unless the attempt succeeds.
    case allowed(State)
  }

  func attempt(_ state: State, now: Instant) -> Verdict {
    if let end = state.lockedUntil, end > now { return .locked(until: end) }
    let known = now - state.lastFailedAt < memory ? state.failures : 0
    var next = State(failures: known + 1, lastFailedAt: now)
    if next.failures >= free { next.lockedUntil = now + wait(after: next.failures) }
    return .allowed(next)
  }

  /// One attempt less has failed than was counted.
  func takeBack(_ state: State) -> State {
    var state = state
    state.failures = max(0, state.failures - 1)
    if state.failures < free { state.lockedUntil = nil }
    return state
  }

  private func wait(after failures: Int) -> Duration {
    // Twenty doublings are longer than any longest wait.
    min(longestWait, firstWait * (1 << min(failures - free, 20)))
  }
}
