import NIOCore

/// How many streams may end by RST_STREAM: a reset frees the stream's place at once, for us it may have started work.
///
/// - Rapid Reset (CVE-2023-44487): the peer opens streams and resets them as fast as it can write.
/// - MadeYouReset (CVE-2025-8671): the peer opens streams and breaks a rule on each, so that we reset them.
///
/// Both draw on one budget. Resets we decide on, such as at a deadline, after an early answer, or because we are full,
/// draw on one of their own, so generous that it bounds only a peer that does nothing but provoke them. A client that is
/// refused in a busy moment has done nothing wrong, and will be back.
struct ResetBudget {
  private var peer: TokenBucket
  private var own: TokenBucket

  /// A stream that was open for a while has been reset at a person's or a deadline's pace: when a service hangs, every
  /// call to it ends that way. It takes a quarter of what a rapid reset takes.
  static let rapidCost = 4
  static let unhurriedCost = 1

  init(peer: RateLimit, own: RateLimit, now: NIODeadline) {
    let scaled = RateLimit(burst: peer.burst * Self.rapidCost, perSecond: peer.perSecond * Self.rapidCost)
    self.peer = TokenBucket(scaled, now: now)
    self.own = TokenBucket(own, now: now)
  }

  /// The peer reset a stream; false when it is one too many.
  mutating func received(rapid: Bool, now: @autoclosure () -> NIODeadline) -> Bool {
    peer.take(rapid ? Self.rapidCost : Self.unhurriedCost, now: now())
  }

  /// We reset a stream; false when it is one too many. nghttp2 has a code of its own for each rule that a peer can
  /// break on a stream. It refuses those that are opened before the peer can know how many it may have.
  mutating func sent(_ code: HTTP2ErrorCode, now: @autoclosure () -> NIODeadline) -> Bool {
    switch code {
    case .noError, .cancel, .internalError, .refusedStream, .enhanceYourCalm: own.take(1, now: now())
    default: peer.take(Self.rapidCost, now: now())
    }
  }
}
