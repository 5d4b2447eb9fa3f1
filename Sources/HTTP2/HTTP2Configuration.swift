import NIOCore

/// Every limit of one HTTP/2 connection. Sizes are bytes; a timer that is `nil` is off.
///
/// The defaults are made for services behind one roof: peers that are near, honest and sometimes broken. They also hold
/// against one that is hostile: what it can make us do is bounded by what it has to send for it.
package struct HTTP2Configuration: Sendable {
  // MARK: Streams

  /// Streams the peer may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS). nghttp2 itself sets no limit.
  package var maxConcurrentStreams = 256
  /// Size of a header list, counting 32 per field (RFC 9113, 6.5.2); advertised to the peer. nghttp2 does not enforce
  /// it: the layer above answers a list that is over it, and one four times as large ends the connection.
  package var maxHeaderListBytes = 8 << 10
  /// What a stream may receive before its reader has consumed any of it.
  package var streamWindowBytes = 256 << 10
  /// What all streams of the connection may have under way. It is given back as it arrives, so that what some readers
  /// leave unread holds nobody else up: all together may receive a window each before they have consumed any of it.
  package var connectionWindowBytes = 8 << 20

  /// What all streams of the connection may have queued for a peer that does not take it, and what it takes to keep
  /// that: a short message occupies much more than its bytes. While it is more, a stream
  /// that is to queue yet more is reset with ENHANCE_YOUR_CALM. A client's requests are its own to bound.
  package var maxQueuedBytes = Int.max

  // MARK: Floods. Past any of these the connection ends with GOAWAY(ENHANCE_YOUR_CALM).

  /// Streams the peer may reset, or make us reset by breaking rules (see `ResetBudget`). Servers only: a client opens
  /// its streams itself. A hundred a second is what a few hundred impatient callers do; an attack does thousands.
  package var resets = RateLimit(burst: 200, perSecond: 100)
  /// Streams our application resets, such as at deadlines. Far above what an honest peer can need: it bounds only one
  /// that does nothing else.
  package var ownResets = RateLimit(burst: 20_000, perSecond: 5_000)
  /// Clients: streams it resets. A server takes more for an attack, ours by `resets`, and ends the connection, with the
  /// calls of others on it; so more have to wait. Most of them end by themselves before it is their turn.
  package var cancellations = RateLimit(burst: 100, perSecond: 50)
  /// Frames that do no work (see `FrameBudget`), beyond those that useful frames have earned.
  package var idleFrames = RateLimit(burst: 1_000, perSecond: 100)
  /// Servers: how far apart a client's PINGs must be while it has streams (gRFC A8).
  package var minPingInterval: Duration = .seconds(300)
  /// Servers: the same while it has none. Two hours is TCP's own keepalive, and gRPC's default.
  package var minPingIntervalWithoutStreams: Duration = .seconds(7200)
  /// Servers: PINGs that may come too soon before the connection ends with "too_many_pings".
  package var maxPingStrikes = 2

  // MARK: Peers that take their time

  /// From the start of the connection to the end of the peer's first SETTINGS.
  package var introductionTimeout: Duration? = .seconds(10)
  /// From the first byte of a header list to its last.
  package var headerBlockTimeout: Duration? = .seconds(10)
  /// How long what is written, which is never much more than 128 KiB, may wait for the socket to take it. Whoever
  /// speaks HTTP/2 reads its socket at all times. Also how long a connection that is over waits for its last bytes.
  package var writeStallTimeout: Duration? = .seconds(20)
  /// How long a stream may have bytes for a peer that grants no window for them, or for fewer than `windowStallBytes`,
  /// before it is reset with ENHANCE_YOUR_CALM; when that is all streams together, the connection ends. A reader may be
  /// busy for a while with what it has, so this is longer; what waits meanwhile is bounded.
  package var windowStallTimeout: Duration?

  // MARK: Keepalive (gRFC A8, A9)

  /// A peer from which nothing has come for so long is sent a PING. The default is the shortest that servers permit
  /// without being told, ours included.
  package var keepaliveInterval: Duration? = .seconds(300)
  /// How long after that PING, with nothing coming still, the connection is given up.
  package var keepaliveTimeout: Duration = .seconds(20)
  /// Whether also to send it while no stream is open. A server must permit it.
  package var keepaliveWithoutStreams = false

  /// Clients: a server that has been silent for so long since it was called is sent one PING, although nobody may wait
  /// for its answer any more: that calls are answered elsewhere must not hide that it hangs. Before it has begun an answer
  /// it is sent one more at most, once another stream has been opened: with the headers of an answer a server forgives
  /// the PINGs before it, and gRPC's bear two (gRFC A8).
  package var probeInterval: Duration?
  /// How long after that PING, with nothing coming still, the server counts as hung and the connection is given up.
  package var probeTimeout: Duration = .seconds(2)

  // MARK: The end

  /// A connection without streams for so long is drained.
  package var idleTimeout: Duration?
  /// A connection this old is drained, a tenth sooner or later by chance, so that those made together do not end
  /// together: their clients find servers that were added since.
  package var maxAge: Duration?
  /// How long the streams of a connection that was drained for its age have to end.
  package var maxAgeGrace: Duration = .seconds(600)
  /// How long a drain waits for the peer to answer its first step. One that does not is not asked again.
  package var drainNoticeTimeout: Duration = .seconds(10)

  package init() {}

  /// What servers start with: connections that are of no use to anybody, or hold answers they do not take, end.
  package static var server: HTTP2Configuration {
    var configuration = HTTP2Configuration()
    configuration.idleTimeout = .seconds(900)
    configuration.windowStallTimeout = .seconds(300)
    configuration.maxQueuedBytes = 64 << 20
    return configuration
  }

  /// What clients start with: a server that hangs is given up after three seconds, and its calls fail or are made
  /// elsewhere, however far their deadline.
  package static var client: HTTP2Configuration {
    var configuration = HTTP2Configuration()
    configuration.probeInterval = .seconds(1)
    return configuration
  }

  // MARK: Not for choosing

  /// Answers to SETTINGS and PING that may wait to be written before nghttp2 calls it flooding; its own limit is 1000.
  static let maxOutboundAcks = 128
  /// A header list this many times over its limit ends the connection: nobody honest is that far off, and
  /// decoding the rest of it costs us more than it costs the sender.
  static let headerListTerminationFactor = 4
  /// Bytes gathered into one write. As large as NIO's default high watermark, so that one batch makes an idle
  /// channel unwritable at most once.
  static let writeBatchBytes = 64 << 10
  /// What must move of what waits, or all of it, within `windowStallTimeout`.
  static let windowStallBytes = 16 << 10
  /// How long a connection that is over waits for its last bytes to leave where no `writeStallTimeout` says so.
  static let closeTimeout: Duration = .seconds(20)
  /// How long the channel of a connection that an error has ended stays open, and what comes is read and dropped.
  /// Closing at once, with bytes unread, makes the kernel send a RST, and the peer may then never see the reason.
  static let lingerTime = TimeAmount.seconds(1)
}
