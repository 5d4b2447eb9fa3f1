import NIOCore

/// How many frames that do no work a peer may send: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown types
/// and whatever else brings no request and no bytes nearer. Each costs us about as much to take as a useful one, and
/// its sender nothing.
///
/// Useful frames earn what useless ones cost: honest peers send a few of the latter for each of the former, so they
/// never come near the limit. What time adds is for connections that are only kept open.
struct FrameBudget {
  private var bucket: TokenBucket
  private let role: HTTP2Connection.Role
  private var lastStream: Int32 = 0
  /// False once streams are no longer accepted: nghttp2 then ignores their headers, which earn nothing.
  var acceptsStreams = true
  /// Frames that did no work.
  private(set) var idleFrames = 0

  /// For a stream: its WINDOW_UPDATEs, a PRIORITY, a PING to measure the round trip, a reset.
  static let earnedByStream = 10
  /// For a DATA frame of ours: an update of the stream's window, one of the connection's, a PING, and one to spare.
  static let earnedByOutboundData = 4
  /// A SETTINGS frame may make us touch every open stream, and is answered.
  static let settingsCost = 10
  /// Padding may be 255 bytes and one that says so: a padded frame up to this size may carry nothing else.
  static let mostPaddingBytes = 256

  init(_ limit: RateLimit, role: HTTP2Connection.Role, now: NIODeadline) {
    bucket = TokenBucket(limit, now: now)
    self.role = role
  }

  /// A frame has arrived; false when it is one too many.
  mutating func received(_ head: FrameHead, now: @autoclosure () -> NIODeadline) -> Bool {
    switch head.type {
    case FrameHead.data where head.length > (head.has(FrameHead.padded) ? Self.mostPaddingBytes : 0):
      // A byte a frame earns nothing, but it is what the receiver asked for.
      bucket.give(head.length >> 6)
      return true
    case FrameHead.headers where role == .server && head.stream > lastStream && acceptsStreams:
      lastStream = head.stream
      bucket.give(Self.earnedByStream)
      return true
    default:
      idleFrames += 1
      let mustBeObeyed = head.type == FrameHead.settings && !head.has(FrameHead.ack)
      return bucket.take(mustBeObeyed ? Self.settingsCost : 1, now: now())
    }
  }

  /// Client: we opened a stream, whose answer has its headers and trailers.
  mutating func openedStream() {
    bucket.give(Self.earnedByStream)
  }

  mutating func sentData() {
    bucket.give(Self.earnedByOutboundData)
  }
}
