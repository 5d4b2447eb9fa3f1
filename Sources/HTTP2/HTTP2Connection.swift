internal import CNghttp2
package import NIOCore

/// An HTTP/2 connection: one nghttp2 session in one channel handler.
///
/// nghttp2 knows the protocol, NIO the socket; this class carries bytes between them and events to the delegates.
/// The rules it keeps:
/// - A session is never entered from its own callbacks. They set flags and submit frames; `pump` sends afterwards.
/// - Bytes nghttp2 returns are good until the next call, so they are gathered into one buffer and written once.
/// - While the socket takes nothing, nothing is asked of nghttp2, and a server reads nothing: a client that does not
///   read its answers stops being served instead of filling our memory. A client goes on reading: if both sides
///   waited for the other to read, both would wait for ever. What it reads is bounded by the windows it granted.
package final class HTTP2Connection: ChannelDuplexHandler {
  package typealias InboundIn = ByteBuffer
  package typealias OutboundIn = Never
  package typealias OutboundOut = ByteBuffer

  package enum Role: Sendable { case server, client }

  let role: Role
  let configuration: HTTP2Configuration
  let delegate: any HTTP2ConnectionDelegate

  var session: OpaquePointer?
  private var context: ChannelHandlerContext?

  /// Open streams, in no order. nghttp2 holds unretained pointers to them.
  private(set) var streams: ContiguousArray<HTTP2Stream> = []
  /// Streams whose queue shrank during the current pump.
  var moved: [HTTP2Stream] = []

  private var outbound = ByteBuffer()
  private var isReceiving = false
  private var isPumping = false
  /// Between a read and the end of its burst, when a pump comes anyway.
  private var isInReadBurst = false
  private var isPumpScheduled = false
  private var isReadPending = false
  private var isClosing = false
  private var isDraining = false

  /// Why the connection ended, as far as we know; for the errors of the calls it carried.
  package private(set) var closeReason: String?

  package init(
    role: Role, configuration: HTTP2Configuration, delegate: any HTTP2ConnectionDelegate
  ) {
    self.role = role
    self.configuration = configuration
    self.delegate = delegate
  }

  deinit {
    nghttp2_session_del(session)
  }

  // MARK: For the layer above

  package var streamCount: Int { streams.count }

  package func forEachDelegate(_ body: (any HTTP2StreamDelegate) -> Void) {
    for stream in streams { stream.delegate.map(body) }
  }

  /// Streams the peer allows us to have open at once.
  package var peerMaxConcurrentStreams: Int {
    guard let session else { return 0 }
    return Int(nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
  }

  /// Client: opens a stream with its request headers. `nil` when the connection takes no more.
  package func open(_ headers: HeaderBlock, delegate: any HTTP2StreamDelegate) -> HTTP2Stream? {
    guard let session, !isClosing else { return nil }
    let stream = HTTP2Stream(id: 0, connection: self)
    stream.delegate = delegate
    var provider = stream.dataProvider
    let id = headers.withFields { fields, count in
      nghttp2_submit_request(
        session, nil, fields, count, &provider, Unmanaged.passUnretained(stream).toOpaque())
    }
    guard id > 0 else { return nil }
    stream.id = id
    insert(stream)
    setNeedsPump()
    return stream
  }

  /// Ends the connection in order. A peer may have opened streams we do not know of yet, and once a GOAWAY names
  /// the last stream nghttp2 ignores younger ones in silence. So: a notice that names no stream, a PING behind
  /// which all streams opened before the notice have arrived, then the real GOAWAY (RFC 9113, 6.8).
  package func drain() {
    guard !isDraining else { return }
    isDraining = true
    // A connection that is still being set up announces it with its first bytes.
    if let session { announceDrain(session) }
  }

  private func announceDrain(_ session: OpaquePointer) {
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

  /// Ends the connection now, telling the peer why.
  package func terminate(_ code: HTTP2ErrorCode, reason: String) {
    guard let session, !isClosing else { return }
    closeReason = closeReason ?? reason
    _ = nghttp2_session_terminate_session(session, code.rawValue)
    setNeedsPump()
  }

  /// Something was submitted: sends it, together with everything else submitted in this turn of the loop.
  func setNeedsPump() {
    guard !isReceiving, !isPumping, !isInReadBurst, !isPumpScheduled, let context else { return }
    isPumpScheduled = true
    context.eventLoop.assumeIsolated().execute {
      self.isPumpScheduled = false
      self.pump()
    }
  }

  // MARK: Channel events

  package func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { start() }
  }

  package func handlerRemoved(context: ChannelHandlerContext) {
    tearDown()
    self.context = nil
  }

  package func channelActive(context: ChannelHandlerContext) {
    start()
    context.fireChannelActive()
  }

  package func channelInactive(context: ChannelHandlerContext) {
    tearDown()
    context.fireChannelInactive()
  }

  package func errorCaught(context: ChannelHandlerContext, error: any Error) {
    closeReason = closeReason ?? "\(error)"
    context.close(promise: nil)
  }

  package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard let session, !isClosing else { return }
    isInReadBurst = true
    isReceiving = true
    let bytes = unwrapInboundIn(data)
    let result = bytes.withUnsafeReadableBytes { bytes in
      nghttp2_session_mem_recv(session, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
    }
    isReceiving = false
    delegate.inboundBatchEnded()
    if result < 0 {
      // Flooding, a bad preface, no memory: the session is of no further use.
      closeReason = closeReason ?? String(cString: nghttp2_strerror(Int32(result)))
      context.close(promise: nil)
    }
  }

  package func channelReadComplete(context: ChannelHandlerContext) {
    isInReadBurst = false
    pump()
    context.fireChannelReadComplete()
  }

  package func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable {
      pump()
      if isReadPending {
        isReadPending = false
        context.read()
      }
    }
    context.fireChannelWritabilityChanged()
  }

  package func read(context: ChannelHandlerContext) {
    if role == .client || context.channel.isWritable {
      context.read()
    } else {
      isReadPending = true
    }
  }

  // MARK: Life of the session

  private func start() {
    guard session == nil, !isClosing else { return }
    session = makeSession()
    guard let session else {
      closeReason = "out of memory"
      context?.close(promise: nil)
      return
    }
    if isDraining { announceDrain(session) }
    pump()
  }

  private func makeSession() -> OpaquePointer? {
    var option: OpaquePointer?
    guard nghttp2_option_new(&option) == 0 else { return nil }
    defer { nghttp2_option_del(option) }
    nghttp2_option_set_no_auto_window_update(option, 1)
    nghttp2_option_set_no_closed_streams(option, 1)
    nghttp2_option_set_max_outbound_ack(option, HTTP2Configuration.maxOutboundAcks)

    var session: OpaquePointer?
    let user = Unmanaged.passUnretained(self).toOpaque()
    let callbacks = SessionCallbacks.shared.pointer
    let result =
      switch role {
      case .server: nghttp2_session_server_new2(&session, callbacks, user, option)
      case .client: nghttp2_session_client_new2(&session, callbacks, user, option)
      }
    guard result == 0, let session else { return nil }

    var settings = [
      nghttp2_settings_entry(
        settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
        value: UInt32(configuration.streamWindowBytes)),
      nghttp2_settings_entry(
        settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
        value: UInt32(configuration.maxHeaderListBytes)),
    ]
    switch role {
    case .server:
      settings.append(
        nghttp2_settings_entry(
          settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
          value: UInt32(configuration.maxConcurrentStreams)))
      settings.append(
        nghttp2_settings_entry(
          settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1))
    case .client:
      settings.append(
        nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0))
    }
    _ = nghttp2_submit_settings(session, 0, settings, settings.count)
    _ = nghttp2_session_set_local_window_size(session, 0, 0, Int32(configuration.connectionWindowBytes))
    return session
  }

  /// Sends what nghttp2 has, as long as the socket takes it.
  private func pump() {
    guard let context, !isPumping, !isReceiving, !isClosing else { return }
    isPumping = true
    var more = true
    // A write may end the channel, and with it the session.
    while more, let session, context.channel.isWritable {
      outbound.clear(minimumCapacity: 4096)
      more = fill(from: session)
      guard outbound.readableBytes > 0 else { break }
      context.writeAndFlush(wrapOutboundOut(outbound), promise: nil)
    }
    isPumping = false
    if !moved.isEmpty {
      let moved = moved
      self.moved.removeAll(keepingCapacity: true)
      for stream in moved { stream.reportMoved() }
    }
    if !more, let session, nghttp2_session_want_read(session) == 0, nghttp2_session_want_write(session) == 0 {
      close(context)
    }
  }

  /// Gathers one batch; false when nghttp2 has nothing left.
  private func fill(from session: OpaquePointer) -> Bool {
    while outbound.readableBytes < HTTP2Configuration.writeBatchBytes {
      var bytes: UnsafePointer<UInt8>?
      // DATA does not come back from here: `SessionCallbacks` moves it into `outbound` directly.
      let count = nghttp2_session_mem_send(session, &bytes)
      if count < 0 {
        closeReason = closeReason ?? String(cString: nghttp2_strerror(Int32(count)))
        context?.close(promise: nil)
        return false
      }
      if count == 0 { return false }
      outbound.writeBytes(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    return true
  }

  /// Closes once everything written so far, such as our GOAWAY, is out.
  private func close(_ context: ChannelHandlerContext) {
    guard !isClosing else { return }
    isClosing = true
    context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
      context.close(promise: nil)
    }
  }

  /// Runs once, outside of all callbacks: the channel delivers its end in a turn of its own.
  private func tearDown() {
    guard let session else { return }
    isClosing = true
    self.session = nil
    let streams = streams
    self.streams.removeAll()
    for stream in streams { stream.close(.connectError) }
    nghttp2_session_del(session)
    delegate.connectionClosed()
  }
}

// What the callbacks of the session report.
extension HTTP2Connection {
  func insert(_ stream: HTTP2Stream) {
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
    if stream.heldBytes > 0, let session {
      _ = nghttp2_session_consume_connection(session, stream.heldBytes)
    }
    let last = streams.count - 1
    if stream.index != last {
      streams[stream.index] = streams[last]
      streams[stream.index].index = stream.index
    }
    streams.removeLast()
    stream.close(code)
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
    outbound.writeBytes(UnsafeRawBufferPointer(start: head, count: 9))
    stream.moveFrame(length, to: &outbound)
  }

  func pingAcknowledged(_ payload: UnsafeRawBufferPointer) {
    guard let session, isDraining, role == .server, payload.elementsEqual(Self.drainPing) else { return }
    let last = nghttp2_session_get_last_proc_stream_id(session)
    _ = nghttp2_submit_goaway(session, 0, last, HTTP2ErrorCode.noError.rawValue, nil, 0)
  }

  func goAwayReceived(_ code: HTTP2ErrorCode, debug: String) {
    if code != .noError { closeReason = "the peer ended the connection with \(code) \(debug)" }
    delegate.goAwayReceived()
  }
}
