import NIOCore

/// Whether a client may ping as often as it does (gRFC A8): every PING wakes us up, and thousands of idle connections
/// that ping each second are a load of their own.
///
/// A ping too soon after the one before is a strike. Sending DATA or HEADERS forgives all: a client that measures the
/// round trip pings when it receives them.
struct PingStrikes {
  private let interval: TimeAmount
  private let intervalWithoutStreams: TimeAmount
  private let maxStrikes: Int
  private var strikes = 0
  private var last: NIODeadline?
  /// Set where we send; a store is all that costs.
  var hasSentSincePing = false

  init(interval: TimeAmount, intervalWithoutStreams: TimeAmount, maxStrikes: Int) {
    self.interval = interval
    self.intervalWithoutStreams = intervalWithoutStreams
    self.maxStrikes = maxStrikes
  }

  /// False when the client has been told often enough, by silence, not to.
  mutating func received(now: NIODeadline, hasStreams: Bool) -> Bool {
    if hasSentSincePing {
      hasSentSincePing = false
      strikes = 0
      last = nil
    }
    defer { last = now }
    guard let last, now - last < (hasStreams ? interval : intervalWithoutStreams) else { return true }
    strikes += 1
    return strikes <= maxStrikes
  }
}
