/// The limits of one HTTP/2 connection. All sizes are bytes.
package struct HTTP2Configuration: Sendable {
  /// Streams the peer may have open at once.
  package var maxConcurrentStreams = 256
  /// Size of a header list, counting 32 per field (RFC 9113, 6.5.2); advertised to the peer.
  package var maxHeaderListBytes = 8 << 10
  /// What a stream may receive before its reader has consumed any of it.
  package var streamWindowBytes = 256 << 10
  /// What all streams of the connection may receive before their readers have consumed any of it.
  package var connectionWindowBytes = 8 << 20

  package init() {}

  /// Answers to SETTINGS and PING that may wait to be written before the peer counts as flooding.
  static let maxOutboundAcks = 256
  /// A header list this many times over its limit ends the connection: nobody honest is that far off, and
  /// decoding the rest of it costs us more than it costs the sender.
  static let headerListTerminationFactor = 4
  /// Bytes gathered into one write. As large as NIO's default high watermark, so that one batch makes an idle
  /// channel unwritable at most once.
  static let writeBatchBytes = 64 << 10
}
