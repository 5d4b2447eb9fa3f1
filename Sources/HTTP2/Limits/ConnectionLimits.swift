import NIOCore

/// What a peer may still do before it counts as hostile: the budgets of one connection.
struct ConnectionLimits {
  var scanner: FrameScanner
  var frames: FrameBudget
  var resets: ResetBudget
  var pings: PingStrikes
  var cancellations: TokenBucket

  init(_ configuration: HTTP2Configuration, role: HTTP2Connection.Role, now: NIODeadline) {
    scanner = FrameScanner(prefaceBytes: role == .server ? FrameScanner.clientPrefaceBytes : 0)
    frames = FrameBudget(configuration.idleFrames, role: role, now: now)
    resets = ResetBudget(peer: configuration.resets, own: configuration.ownResets, now: now)
    cancellations = TokenBucket(configuration.cancellations, now: now)
    pings = PingStrikes(
      interval: TimeAmount(configuration.minPingInterval),
      intervalWithoutStreams: TimeAmount(configuration.minPingIntervalWithoutStreams),
      maxStrikes: configuration.maxPingStrikes)
  }

  /// Counts the frames that begin in `bytes`; false when there is one too many among them.
  mutating func allow(_ bytes: UnsafeRawBufferPointer, now: @autoclosure () -> NIODeadline) -> Bool {
    var isAllowed = true
    scanner.scan(bytes) { head in
      isAllowed = frames.received(head, now: now())
      return isAllowed
    }
    return isAllowed
  }

  mutating func sentData() {
    frames.sentData()
    pings.hasSentSincePing = true
  }

  mutating func sentHeaders() {
    pings.hasSentSincePing = true
  }
}
