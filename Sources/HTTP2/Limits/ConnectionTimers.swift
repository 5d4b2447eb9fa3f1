import NIOCore

/// Decides when a connection has waited long enough: for its peer to introduce itself, to finish a header list, to read,
/// to answer a PING, to be of use.
///
/// Nothing is scheduled or noted when frames come and go. The connection counts bytes and streams anyway; now and then
/// one timer shows the counts to `check`, which notices what has not changed since when. So everything happens up to one
/// `period` late.
struct ConnectionTimers {
  /// What the connection looks like at the time of a check.
  struct Sight {
    var bytesIn = 0
    var bytesOut = 0
    /// Those of them in DATA frames: other frames need no window.
    var dataOut = 0
    var streamsOpened = 0
    var openStreams = 0
    /// The peer's first SETTINGS are here.
    var isIntroduced = true
    /// Header lists the peer has begun.
    var headerBlocks = 0
    /// Tells the header list that is being received from others; 0 for none.
    var headerBlock = 0
    /// Of `bytesOut`, what the socket has not taken: the peer does not read.
    var unsentBytes = 0
    /// What streams have queued: the peer grants no window for it, or does not read either.
    var queuedBytes = 0
    var isDraining = false
  }

  enum Action: Equatable {
    case ping
    case drain(reason: String)
    /// The second step of a drain, which the peer's answer should have caused.
    case finishDraining
    case terminate(HTTP2ErrorCode, reason: String)
    /// The peer would not read a GOAWAY.
    case close(reason: String)
  }

  private let configuration: HTTP2Configuration
  private let start: NIODeadline
  private let oldAt: NIODeadline?

  private var inbound: Lapse
  private var unsent = Backlog()
  private var queued = Backlog(enough: HTTP2Configuration.windowStallBytes)
  private var headerBlock: Lapse
  private var idle: Lapse
  private var asked = Asked()
  /// The PING that is out, and how long its answer may take.
  private var ping: (at: NIODeadline, timeout: Duration)?
  private var probes = Probes()
  private var drainedAt: NIODeadline?
  private var isDrainFinished = false
  private var isOld = false

  /// How often to check.
  let period: TimeAmount

  /// `jitter` is in -1...1.
  init(_ configuration: HTTP2Configuration, jitter: Double, now: NIODeadline) {
    self.configuration = configuration
    start = now
    oldAt = configuration.maxAge.map { now + TimeAmount($0 * (1 + 0.1 * jitter)) }
    inbound = Lapse(since: now)
    headerBlock = Lapse(since: now)
    idle = Lapse(since: now)
    let timeouts = [
      configuration.introductionTimeout, configuration.headerBlockTimeout, configuration.writeStallTimeout,
      configuration.windowStallTimeout, configuration.keepaliveInterval, configuration.keepaliveTimeout,
      configuration.probeInterval, configuration.probeInterval.map { _ in configuration.probeTimeout },
      configuration.idleTimeout, configuration.maxAge, configuration.maxAgeGrace,
      configuration.drainNoticeTimeout,
    ].compactMap { $0 }
    let shortest = timeouts.min() ?? .seconds(60)
    period = TimeAmount(max(shortest / 4, .milliseconds(5)))
  }

  /// What is due, one thing at a time: what ends the connection comes first.
  mutating func check(_ sight: Sight, now: NIODeadline) -> Action? {
    // All are shown every sight, whichever is due.
    inbound.see(sight.bytesIn, now)
    unsent.see(waiting: sight.unsentBytes, gone: sight.bytesOut - sight.unsentBytes, now)
    queued.see(waiting: sight.queuedBytes, gone: sight.dataOut, now)
    headerBlock.see(sight.headerBlock, now)
    idle.see(sight.openStreams == 0 ? sight.streamsOpened : -1, now)
    asked.see(sight, hasSpoken: inbound.since == now, now)
    return slowness(sight, now) ?? keepalive(sight, now) ?? drain(sight, now)
  }

  private func slowness(_ sight: Sight, _ now: NIODeadline) -> Action? {
    if !sight.isIntroduced, has(configuration.introductionTimeout, passedSince: start, now) {
      return .close(reason: "the peer did not introduce itself with SETTINGS")
    }
    if sight.headerBlock > 0, has(configuration.headerBlockTimeout, passedSince: headerBlock.since, now) {
      return .terminate(.enhanceYourCalm, reason: "a header list was not finished in time")
    }
    if let since = unsent.since, has(configuration.writeStallTimeout, passedSince: since, now) {
      return .close(reason: "the peer reads nothing")
    }
    if let since = queued.since, has(configuration.windowStallTimeout, passedSince: since, now) {
      return .terminate(.enhanceYourCalm, reason: "the peer grants no window")
    }
    return nil
  }

  private mutating func keepalive(_ sight: Sight, _ now: NIODeadline) -> Action? {
    if let ping, inbound.since <= ping.at {
      guard has(ping.timeout, passedSince: ping.at, now) else { return nil }
      return .close(reason: "the peer did not answer a keepalive PING within \(ping.timeout)")
    }
    ping = nil
    guard sight.isIntroduced else { return nil }
    if let since = asked.since, probes.mayFollow(sight),
      has(configuration.probeInterval, passedSince: since, now)
    {
      probes.sent(sight)
      ping = (now, configuration.probeTimeout)
      return .ping
    }
    guard sight.openStreams > 0 || configuration.keepaliveWithoutStreams,
      has(configuration.keepaliveInterval, passedSince: inbound.since, now)
    else { return nil }
    ping = (now, configuration.keepaliveTimeout)
    return .ping
  }

  private mutating func drain(_ sight: Sight, _ now: NIODeadline) -> Action? {
    guard sight.isDraining else {
      // Until then it cannot be told from one that never came to be.
      guard sight.isIntroduced else { return nil }
      if let oldAt, oldAt <= now {
        isOld = true
        drainedAt = now
        return .drain(reason: "the connection has reached its age")
      }
      guard sight.openStreams == 0, has(configuration.idleTimeout, passedSince: idle.since, now) else {
        return nil
      }
      drainedAt = now
      return .drain(reason: "the connection was idle")
    }
    let drainedAt = drainedAt ?? now
    self.drainedAt = drainedAt
    if !isDrainFinished, has(configuration.drainNoticeTimeout, passedSince: drainedAt, now) {
      isDrainFinished = true
      return .finishDraining
    }
    if isOld, has(configuration.maxAgeGrace, passedSince: drainedAt, now) {
      return .terminate(.noError, reason: "the connection has reached its age")
    }
    return nil
  }

  private func has(_ timeout: Duration?, passedSince start: NIODeadline, _ now: NIODeadline) -> Bool {
    guard let timeout else { return false }
    return now - start >= TimeAmount(timeout)
  }
}

/// Since when a number has been what it is, as far as it was seen.
private struct Lapse {
  private(set) var since: NIODeadline
  private var value = 0

  init(since: NIODeadline) {
    self.since = since
  }

  mutating func see(_ value: Int, _ now: NIODeadline) {
    guard value != self.value else { return }
    self.value = value
    since = now
  }
}

/// Since when the peer has had streams to answer and has said nothing. That they were given up meanwhile, as those of
/// a call are that was answered elsewhere, is no word of the peer's.
private struct Asked {
  /// `nil` while it owes nothing.
  private(set) var since: NIODeadline?
  /// Streams opened when it last spoke.
  private var streamsOpened = 0

  mutating func see(_ sight: ConnectionTimers.Sight, hasSpoken: Bool, _ now: NIODeadline) {
    if hasSpoken {
      since = nil
      streamsOpened = sight.streamsOpened
    }
    if since == nil, sight.openStreams > 0 || sight.streamsOpened != streamsOpened { since = now }
  }
}

/// The probes since the peer last began an answer. A server counts PINGs between its answers and bears two (gRPC A8), so
/// there are no more: one, and another once a stream has been opened since, because the first may have been spent on
/// a stream that is quiet by nature, such as a health watch.
private struct Probes {
  private var last: (headerBlocks: Int, streamsOpened: Int, isSecond: Bool)?

  func mayFollow(_ sight: ConnectionTimers.Sight) -> Bool {
    guard let last, last.headerBlocks == sight.headerBlocks else { return true }
    return !last.isSecond && sight.streamsOpened != last.streamsOpened
  }

  mutating func sent(_ sight: ConnectionTimers.Sight) {
    last = (sight.headerBlocks, sight.streamsOpened, last?.headerBlocks == sight.headerBlocks)
  }
}
