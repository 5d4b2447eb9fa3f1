internal import CNghttp2
package import NIOCore

/// One stream of a connection, from its first header to its end. Used on the connection's event loop only; when
/// the stream has closed every operation does nothing.
package final class HTTP2Stream {
  package internal(set) var id: Int32
  /// `nil` once the stream has closed.
  package private(set) var connection: HTTP2Connection?
  var delegate: (any HTTP2StreamDelegate)?

  /// Where the connection keeps this stream.
  var index = 0
  package internal(set) var isClosed = false
  /// Tells later how long it was open, without a look at the clock.
  let openedAtTick: Int
  var hadHeaders = false
  var inboundEnded = false
  private var headerListBytes = 0
  /// Past it the connection ends.
  private let maxHeaderListBytes: Int

  /// Bytes received and not yet consumed.
  private var heldBytes = 0

  private var outbound = OutboundQueue()
  private var outboundFinished = false
  private var trailers: HeaderBlock?
  private var areTrailersSubmitted = false
  private var sentBytes = 0
  private var backlog = Backlog(enough: HTTP2Configuration.windowStallBytes)
  /// nghttp2 asked for data, there was none, and it will not ask again until told to.
  private var isDeferred = false
  private var isInMoved = false
  /// Nothing more is sent: not even the end, which would make a request of what there is of it.
  private var isResetOwed = false

  init(id: Int32, connection: HTTP2Connection) {
    self.id = id
    self.connection = connection
    openedAtTick = connection.ticks
    maxHeaderListBytes =
      connection.configuration.maxHeaderListBytes * HTTP2Configuration.headerListTerminationFactor
  }

  /// What the bytes occupy that are written and not yet handed to the socket.
  package var queuedBytes: Int { outbound.occupiedBytes }
  /// Those bytes themselves.
  var unsentBytes: Int { outbound.count }

  /// Client: whether any of the request has left us.
  package var wasSent: Bool { id <= connection?.lastSentStreamID ?? 0 }

  // MARK: Sending

  /// Server: sends the response headers, and ends the stream with them when nothing follows.
  package func respond(_ headers: HeaderBlock, endStream: Bool) {
    guard let session = activeSession else { return }
    headers.withFields { fields, count in
      if endStream {
        _ = nghttp2_submit_response(session, id, fields, count, nil)
      } else {
        var provider = dataProvider
        _ = nghttp2_submit_response(session, id, fields, count, &provider)
      }
    }
    connection?.setNeedsPump()
  }

  /// Queues body bytes, after the headers have been submitted. False when the peer leaves so much unread that the
  /// stream has been reset instead.
  @discardableResult
  package func write(_ prefix: OutboundQueue.Prefix, _ body: ByteBuffer) -> Bool {
    guard activeSession != nil, !outboundFinished, !isResetOwed, let connection else { return true }
    guard connection.queuedBytes <= connection.configuration.maxQueuedBytes else {
      // gRPC takes this code for RESOURCE_EXHAUSTED.
      reset(.enhanceYourCalm)
      return false
    }
    let before = queuedBytes
    outbound.append(prefix, body)
    connection.queuedBytes += queuedBytes - before
    resume()
    return true
  }

  /// Ends our side of the stream once everything written is sent, with trailers if there are any.
  package func finish(trailers: HeaderBlock?) {
    guard let session = activeSession, !outboundFinished, !isResetOwed else { return }
    outboundFinished = true
    if outbound.count == 0, let trailers {
      // There is no data they could overtake. nghttp2 would ask for it only when the peer grants window, which
      // trailers do not need.
      submit(trailers, session)
      connection?.setNeedsPump()
    } else {
      self.trailers = trailers
      resume()
    }
  }

  private func submit(_ trailers: HeaderBlock, _ session: OpaquePointer) {
    areTrailersSubmitted = true
    _ = trailers.withFields { nghttp2_submit_trailer(session, id, $0, $1) }
  }

  /// Ends the stream, a server's at once and a client's as soon as its connection may reset another; what is queued
  /// is dropped.
  package func reset(_ code: HTTP2ErrorCode) {
    guard let session = activeSession, !isResetOwed else { return }
    dropQueue()
    guard connection?.mayReset(self, code) == true else { return isResetOwed = true }
    submitReset(code, session)
  }

  /// The reset that had to wait.
  func resetAtLast(_ code: HTTP2ErrorCode) {
    if let session = activeSession { submitReset(code, session) }
  }

  private func submitReset(_ code: HTTP2ErrorCode, _ session: OpaquePointer) {
    _ = nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code.rawValue)
    connection?.setNeedsPump()
  }

  private func dropQueue() {
    connection?.queuedBytes -= queuedBytes
    outbound.removeAll()
  }

  private func resume() {
    if isDeferred, let session = activeSession {
      isDeferred = false
      _ = nghttp2_session_resume_data(session, id)
    }
    connection?.setNeedsPump()
  }

  // MARK: Receiving

  /// Gives `count` received bytes back to the stream's window. To the connection's they went when they came: what one
  /// reader leaves unread must not keep the others from being sent anything, so only streams hold their peer back.
  package func consume(_ count: Int) {
    let count = min(count, heldBytes)
    guard count > 0, let session = activeSession else { return }
    heldBytes -= count
    _ = nghttp2_session_consume_stream(session, id, count)
    connection?.setNeedsPump()
  }

  /// False when the header list being received is far over the limit.
  func countHeader(_ count: Int) -> Bool {
    headerListBytes += count
    return headerListBytes <= maxHeaderListBytes
  }

  func headerListEnded() {
    headerListBytes = 0
  }

  func hold(_ count: Int) {
    heldBytes += count
  }

  // MARK: What nghttp2 asks for

  private var activeSession: OpaquePointer? { isClosed ? nil : connection?.session }

  var dataProvider: nghttp2_data_provider {
    nghttp2_data_provider(
      source: nghttp2_data_source(ptr: Unmanaged.passUnretained(self).toOpaque()),
      read_callback: { session, id, _, length, flags, source, _ in
        guard let session, let flags, let pointer = source?.pointee.ptr else {
          return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        return Unmanaged<HTTP2Stream>.fromOpaque(pointer)._withUnsafeGuaranteedRef { stream in
          stream.nextFrame(atMost: length, flags: flags, session: session)
        }
      })
  }

  /// Says how long the next DATA frame is; `moveFrame` delivers it.
  private func nextFrame(atMost limit: Int, flags: UnsafeMutablePointer<UInt32>, session: OpaquePointer)
    -> Int
  {
    let length = min(limit, outbound.count)
    if length == 0, !outboundFinished || areTrailersSubmitted || isResetOwed {
      isDeferred = true
      return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
    if outboundFinished, length == outbound.count {
      flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
      if let trailers {
        // Only here is it certain that the trailers do not overtake the data.
        flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
        submit(trailers, session)
      }
    }
    return length
  }

  func moveFrame(_ length: Int, to buffer: inout ByteBuffer) {
    outbound.move(length, to: &buffer)
    sentBytes += length
    if !isInMoved {
      isInMoved = true
      connection?.moved.append(self)
    }
  }

  /// Whether the peer has granted too little window for what waits, for so long. To be asked now and then.
  func isStalled(for timeout: TimeAmount, now: NIODeadline) -> Bool {
    // What waits although there is window for it waits for the socket, or for other streams to have their turn.
    backlog.see(waiting: lacksWindow ? outbound.count : 0, gone: sentBytes, now)
    return backlog.since.map { now - $0 >= timeout } ?? false
  }

  private var lacksWindow: Bool {
    guard let session = activeSession else { return false }
    let window = min(
      nghttp2_session_get_remote_window_size(session),
      nghttp2_session_get_stream_remote_window_size(session, id))
    return window < min(outbound.count, HTTP2Configuration.windowStallBytes)
  }

  func reportMoved() {
    isInMoved = false
    if !isClosed { delegate?.outboundMoved() }
  }

  func close(_ code: HTTP2ErrorCode) {
    isClosed = true
    dropQueue()
    trailers = nil
    let delegate = delegate
    self.delegate = nil
    delegate?.closed(code)
    connection = nil
  }
}
