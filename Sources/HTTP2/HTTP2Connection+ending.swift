internal import CNghttp2
import NIOCore

// How a connection ends: in order, or at once.
extension HTTP2Connection {
  /// Ends the connection in order. A peer may have opened streams we do not know of yet, and once a GOAWAY names
  /// the last stream nghttp2 ignores younger ones in silence. So: a notice that names no stream, a PING behind
  /// which all streams opened before the notice have arrived, then the real GOAWAY (RFC 9113, 6.8).
  package func drain() {
    guard !isDraining else { return }
    isDraining = true
    // A connection that is still being set up announces it with its first bytes.
    if let session { announceDrain(session) }
  }

  func announceDrain(_ session: OpaquePointer) {
    switch role {
    case .server:
      _ = nghttp2_submit_shutdown_notice(session)
      _ = Self.drainPing.withUnsafeBufferPointer { nghttp2_submit_ping(session, 0, $0.baseAddress) }
    case .client:
      _ = nghttp2_submit_goaway(session, 0, 0, HTTP2ErrorCode.noError.rawValue, nil, 0)
    }
    setNeedsPump()
  }

  private static let drainPing: [UInt8] = Array("draining".utf8)

  func pingAcknowledged(_ payload: UnsafeRawBufferPointer) {
    if isDraining, payload.elementsEqual(Self.drainPing) { finishDraining() }
  }

  /// The second step of a server's drain: from here on no stream is accepted.
  func finishDraining() {
    guard let session, role == .server, limits.frames.acceptsStreams else { return }
    limits.frames.acceptsStreams = false
    let last = nghttp2_session_get_last_proc_stream_id(session)
    _ = nghttp2_submit_goaway(session, 0, last, HTTP2ErrorCode.noError.rawValue, nil, 0)
    setNeedsPump()
  }

  /// Ends the connection now, telling the peer why: the reason goes along as the GOAWAY's debug data.
  package func terminate(_ code: HTTP2ErrorCode, reason: String) {
    guard let session, !isTerminating else { return }
    // Everything has been said, and the peer does not even read that.
    guard !isClosing else {
      context?.close(promise: nil)
      return
    }
    isTerminating = true
    closeReason = closeReason ?? reason
    var reason = reason
    _ = reason.withUTF8 {
      let last = nghttp2_session_get_last_proc_stream_id(session)
      return nghttp2_submit_goaway(session, 0, last, code.rawValue, $0.baseAddress, $0.count)
    }
    setNeedsPump()
  }

  /// Ours, or nghttp2's for a peer that broke the protocol.
  func goAwaySent(_ code: HTTP2ErrorCode, debug: String) {
    // A drain's says NO_ERROR and no more. What ends the connection gives a reason, even for that.
    guard code != .noError || !debug.isEmpty else { return }
    if !isTerminating {
      isTerminating = true
      closeReason = closeReason ?? "the peer broke the protocol: \(code) \(debug)"
    }
    isTerminationSent = true
  }
}
