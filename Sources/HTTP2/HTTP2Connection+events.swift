internal import CNghttp2
import NIOCore

// What the callbacks of the session report.
extension HTTP2Connection {
  func insert(_ stream: HTTP2Stream) {
    counted.streamsOpened += 1
    stream.index = streams.count
    streams.append(stream)
  }

  func accept(id: Int32) {
    guard let session else { return }
    let stream = HTTP2Stream(id: id, connection: self)
    insert(stream)
    nghttp2_session_set_stream_user_data(session, id, Unmanaged.passUnretained(stream).toOpaque())
    // Not incremental is the default of RFC 9218: one busy stream would be served until it ends.
    var priority = nghttp2_extpri(urgency: UInt32(NGHTTP2_EXTPRI_DEFAULT_URGENCY), inc: 1)
    nghttp2_session_change_extpri_stream_priority(session, id, &priority, 1)
    stream.delegate = delegate.accept(stream)
  }

  func streamClosed(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
    let last = streams.count - 1
    if stream.index != last {
      streams[stream.index] = streams[last]
      streams[stream.index].index = stream.index
    }
    streams.removeLast()
    stream.close(code)
  }

  /// False for a client that has reset so many streams that this one has to wait.
  func mayReset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) -> Bool {
    guard role == .client, let context else { return true }
    if owedResets.isEmpty, limits.cancellations.take(1, now: context.eventLoop.now) { return true }
    owedResets.append((stream, code))
    return false
  }

  /// Sends the resets whose turn it is.
  func sendOwedResets(_ now: NIODeadline) {
    while let (stream, code) = owedResets.first {
      if !stream.isClosed {
        guard limits.cancellations.take(1, now: now) else { return }
        stream.resetAtLast(code)
      }
      owedResets.removeFirst()
    }
  }

  /// nghttp2 declined to send the headers of a stream, such as a list over its limit of 64 KiB. Without them the
  /// stream would neither go on nor end.
  func headersNotSent(_ id: Int32, isRequest: Bool) {
    guard let session, let stream = streams.first(where: { $0.id == id }) else { return }
    guard isRequest else { return stream.reset(.internalError) }
    // The peer knows of no stream to be reset. nghttp2 would close it as refused, which asks for another attempt.
    _ = nghttp2_session_set_stream_user_data(session, id, nil)
    streamClosed(stream, .internalError)
  }

  func moveFrame(of stream: HTTP2Stream, head: UnsafePointer<UInt8>, length: Int) {
    counted.dataBytesSent += length
    limits.sentData()
    outbound.writeBytes(UnsafeRawBufferPointer(start: head, count: 9))
    let before = stream.queuedBytes
    stream.moveFrame(length, to: &outbound)
    queuedBytes -= before - stream.queuedBytes
  }

  func settingsReceived() {
    isIntroduced = true
    delegate.settingsReceived()
  }

  func goAwayReceived(_ code: HTTP2ErrorCode, debug: String) {
    peerGoAway = (code, debug)
    if code != .noError { closeReason = "the peer ended the connection with \(code) \(debug)" }
    delegate.goAwayReceived()
  }

  func pingReceived() {
    counted.pingsReceived += 1
    guard role == .server, let now = context?.eventLoop.now else { return }
    if !limits.pings.received(now: now, hasStreams: streamCount > 0) {
      // The words are gRPC's: its clients then ping half as often (gRFC A8).
      terminate(.enhanceYourCalm, reason: Self.tooManyPings)
    }
  }

  static let tooManyPings = "too_many_pings"

  /// The peer has reset a stream, which is `nil` when it was no longer open. Then it has freed nothing: some clients
  /// answer so whenever we end a stream on which they still could send. It counts as a frame that does no work.
  func resetReceived(_ stream: HTTP2Stream?) {
    counted.resetsReceived += 1
    guard role == .server, let context, let stream else { return }
    let rapid = ticks - stream.openedAtTick < 2
    if !limits.resets.received(rapid: rapid, now: context.eventLoop.now) {
      terminate(.enhanceYourCalm, reason: "too many streams reset")
    }
  }

  func resetSent(_ code: HTTP2ErrorCode) {
    counted.resetsSent += 1
    guard role == .server, let context else { return }
    if !limits.resets.sent(code, now: context.eventLoop.now) {
      terminate(.enhanceYourCalm, reason: "too many streams that had to be reset")
    }
  }
}
