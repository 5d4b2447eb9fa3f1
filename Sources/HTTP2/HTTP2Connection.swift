internal import CNghttp2
internal import DequeModule
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
  var context: ChannelHandlerContext?

  /// Open streams, in no order. nghttp2 holds unretained pointers to them.
  var streams: ContiguousArray<HTTP2Stream> = []
  /// What all streams have queued occupies.
  package internal(set) var queuedBytes = 0
  /// Streams whose queue shrank during the current pump.
  var moved: [HTTP2Stream] = []

  /// Client: streams whose reset has to wait, and with what: see `HTTP2Configuration.cancellations`.
  var owedResets = Deque<(stream: HTTP2Stream, code: HTTP2ErrorCode)>()

  /// Client: the youngest stream whose headers have left. They leave in the order of their numbers.
  var lastSentStreamID: Int32 = 0

  private let batch: WriteBatch
  /// The bytes of `batch`, while the connection pumps.
  var outbound = ByteBuffer()
  private var isReceiving = false
  private var isPumping = false
  /// Between a read and the end of its burst, when a pump comes anyway.
  private var isInReadBurst = false
  private var isPumpScheduled = false
  private var isReadPending = false
  private(set) var isClosing = false
  var isDraining = false
  /// An error ends the connection: nothing is read any more, and nothing is sent after the GOAWAY that says so.
  var isTerminating = false
  var isTerminationSent = false
  private var linger: Scheduled<Void>?
  /// The peer's first SETTINGS are here.
  var isIntroduced = false

  // What the peer may still do before it counts as hostile; made with the session.
  var limits: ConnectionLimits
  var timers: ConnectionTimers
  var tick: Scheduled<Void>?
  /// Checks so far. A stream that has seen two of them was not reset in haste.
  var ticks = 0

  var counted = ConnectionCounters()

  /// Why the connection ended, as far as we know; for the errors of the calls it carried.
  package internal(set) var closeReason: String?
  /// What the peer's last GOAWAY said.
  package internal(set) var peerGoAway: (code: HTTP2ErrorCode, debug: String)?
  /// The peer ends the connection because our keepalive is a burden to it.
  package var wasToldToPingLess: Bool {
    peerGoAway?.code == .enhanceYourCalm && peerGoAway?.debug == Self.tooManyPings
  }

  /// - Parameter batch: shared with connections of the same event loop, if with any.
  package init(
    role: Role, configuration: HTTP2Configuration, delegate: any HTTP2ConnectionDelegate,
    batch: WriteBatch = WriteBatch()
  ) {
    self.role = role
    self.batch = batch
    self.configuration = configuration
    self.delegate = delegate
    limits = ConnectionLimits(configuration, role: role, now: .distantPast)
    timers = ConnectionTimers(configuration, jitter: 0, now: .distantPast)
  }

  deinit {
    nghttp2_session_del(session)
  }

  // MARK: For the layer above

  /// What happened on the connection so far.
  package var counters: ConnectionCounters {
    var counters = counted
    counters.idleFrames = limits.frames.idleFrames
    return counters
  }

  package var streamCount: Int { streams.count }
  /// Streams that ended because the connection did.
  package private(set) var lostStreamCount = 0

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
    guard let session, !isClosing, !isDraining, !isTerminating else { return nil }
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
    limits.frames.openedStream()
    setNeedsPump()
    return stream
  }

  /// Asks the peer for a sign of life.
  func ping() {
    guard let session else { return }
    counted.pingsSent += 1
    _ = nghttp2_submit_ping(session, 0, nil)
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
    guard let session, !isClosing, !isTerminating else { return }
    isInReadBurst = true
    let bytes = unwrapInboundIn(data)
    counted.bytesReceived += bytes.readableBytes
    let result = bytes.withUnsafeReadableBytes { bytes in
      guard limits.allow(bytes, now: context.eventLoop.now) else {
        terminate(.enhanceYourCalm, reason: "too many frames that do no work")
        return 0
      }
      isReceiving = true
      defer { isReceiving = false }
      return nghttp2_session_mem_recv(
        session, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
    }
    delegate.inboundBatchEnded()
    if result < 0 { receptionFailed(Int32(result)) }
  }

  private func receptionFailed(_ error: Int32) {
    switch error {
    case NGHTTP2_ERR_FLOODED.rawValue:
      terminate(.enhanceYourCalm, reason: "too many frames that must be answered")
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue:
      terminate(.enhanceYourCalm, reason: "too many CONTINUATION frames")
    case NGHTTP2_ERR_CALLBACK_FAILURE.rawValue where isTerminating:
      break  // This is how a callback says that it has terminated the connection.
    default:
      // A bad preface, no memory: the session is of no further use. What it has sent, such as our SETTINGS, still tells
      // a peer that speaks something else what it has met; the end of our side, that no answer will come.
      closeReason = closeReason ?? String(cString: nghttp2_strerror(error))
      guard let context else { return }
      lingerAndClose(context)
      context.close(mode: .output, promise: nil)
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
    guard let session, let context else {
      closeReason = "out of memory"
      self.context?.close(promise: nil)
      return
    }
    startTimers(on: context.eventLoop)
    if isDraining { announceDrain(session) }
    pump()
  }

  /// Sends what nghttp2 has, as long as the socket takes it.
  private func pump() {
    guard let context, !isPumping, !isReceiving, !isClosing else { return }
    if isTerminating, !context.channel.isWritable {
      // The peer would not read the reason.
      return context.close(promise: nil)
    }
    isPumping = true
    swap(&outbound, &batch.bytes)
    var more = true
    // A write may end the channel, and with it the session.
    while more, let session, context.channel.isWritable {
      outbound.clear(minimumCapacity: Self.leastBatchBytes)
      more = fill(from: session)
      guard outbound.readableBytes > 0 else { break }
      counted.bytesSent += outbound.readableBytes
      context.writeAndFlush(wrapOutboundOut(outbound), promise: nil)
    }
    swap(&outbound, &batch.bytes)
    isPumping = false
    if !moved.isEmpty {
      let moved = moved
      self.moved.removeAll(keepingCapacity: true)
      for stream in moved { stream.reportMoved() }
    }
    guard !more, let session else { return }
    if isTerminationSent {
      lingerAndClose(context)
    } else if nghttp2_session_want_read(session) == 0, nghttp2_session_want_write(session) == 0 {
      close(context)
    }
  }

  private static let leastBatchBytes = 4 << 10

  var hasFullBatch: Bool { outbound.readableBytes >= HTTP2Configuration.writeBatchBytes }

  /// Gathers one batch; false when nghttp2 has nothing left.
  private func fill(from session: OpaquePointer) -> Bool {
    while !hasFullBatch {
      if isTerminationSent { return false }
      var bytes: UnsafePointer<UInt8>?
      // DATA does not come back from here: `SessionCallbacks` moves it into `outbound` directly.
      let count = nghttp2_session_mem_send(session, &bytes)
      if count < 0 {
        closeReason = closeReason ?? String(cString: nghttp2_strerror(Int32(count)))
        context?.close(promise: nil)
        return false
      }
      if count == 0 { return hasFullBatch }
      outbound.writeBytes(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    return true
  }

  /// Closes once everything written so far, such as our GOAWAY, is out; or when the peer has not read it for long.
  private func close(_ context: ChannelHandlerContext) {
    guard !isClosing else { return }
    isClosing = true
    closeLater(context, in: TimeAmount(configuration.writeStallTimeout ?? HTTP2Configuration.closeTimeout))
    context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
      context.close(promise: nil)
    }
  }

  /// After an error: the peer shall have our last words before the connection goes. What it sends meanwhile is dropped.
  private func lingerAndClose(_ context: ChannelHandlerContext) {
    tearDown()
    closeLater(context, in: HTTP2Configuration.lingerTime)
  }

  private func closeLater(_ context: ChannelHandlerContext, in time: TimeAmount) {
    linger = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
  }

  /// Runs once, outside of all callbacks: the channel delivers its end in a turn of its own.
  private func tearDown() {
    linger?.cancel()
    tick?.cancel()
    guard let session else { return }
    isClosing = true
    self.session = nil
    let streams = streams
    lostStreamCount = streams.count
    self.streams.removeAll()
    owedResets.removeAll()
    for stream in streams { stream.close(.connectError) }
    nghttp2_session_del(session)
    delegate.connectionClosed()
  }
}
