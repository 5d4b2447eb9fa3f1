import HTTP2
import NIOCore
import NIOSSL

/// A connection being served: its calls, their deadlines, and how many handlers it has running.
final class ServerConnection: HTTP2ConnectionDelegate, @unchecked Sendable {
  let server: ServerCore
  let eventLoop: any EventLoop
  let peer: SocketAddress?
  let executor: EventLoopTaskExecutor
  let channel: any Channel
  let loop: ServerLoop
  let requestTimeout: TimeAmount?
  /// Who the peer is by its certificate, if it has shown one.
  private(set) var identity: PeerIdentity?

  // On the loop only:
  /// Holds this connection too, until `release`. Not `weak`: an object that ever had a weak reference is counted
  /// the slow way, and this one is counted several times per call.
  private(set) var http2: HTTP2Connection?
  /// Calls whose handlers start when nghttp2 has returned.
  var ready: [ServerCall] = []
  private var starting: [ServerCall] = []
  /// Some of them wait until the loop has looked at its sockets.
  private var isPaused = false
  private var runningHandlers = 0
  private var lastingCalls = 0
  private(set) var isDraining = false
  private let accepted = NIODeadline.now()
  /// When its last call ended.
  var lastEnded: NIODeadline
  /// What `addNews` has told.
  private var told = ConnectionCounters()
  /// Request bytes all calls hold.
  private var bufferedBytes = 0
  /// What `loop.queued` has counted of the responses that the peer has yet to take.
  private var queuedBytes = 0
  private(set) lazy var deadlines = DeadlineTimer(on: eventLoop) { [unowned self] in self.expire($0) }

  init(_ server: ServerCore, _ channel: any Channel, _ loop: ServerLoop) {
    self.server = server
    self.channel = channel
    self.loop = loop
    requestTimeout = server.configuration.requestTimeout.map { TimeAmount($0) }
    eventLoop = channel.eventLoop
    peer = channel.remoteAddress
    executor = .current(on: channel.eventLoop)
    lastEnded = accepted
  }

  func start() throws {
    guard let tls = server.configuration.tls else { return try startHTTP2() }
    try tls.secure(
      channel,
      succeeded: { [self] _, certificate in
        identity = certificate.map { PeerIdentity($0) }
        try startHTTP2()
      },
      failed: { [self] in tls.failures.record($0, peer: peer, logger: server.logger) })
  }

  private func startHTTP2() throws {
    let http2 = HTTP2Connection(
      role: .server, configuration: server.configuration.http2, delegate: self, batch: loop.batch)
    self.http2 = http2
    try channel.pipeline.syncOperations.addHandler(http2)
    // It may have come to that during a handshake.
    if isDraining { http2.drain() }
  }

  /// The channel has closed.
  func release() {
    http2 = nil
  }

  /// Our sentence for it where there is one. What the peer or the system says would be another each time.
  var closeReason: String {
    guard let http2, let reason = http2.closeReason else { return "ended" }
    if http2.peerGoAway.map({ $0.code != .noError }) == true { return "the peer ended the connection" }
    if reason.contains("errno") { return "network error" }
    return String(reason.prefix { $0 != ":" })
  }

  /// Adds what has happened on the connection since this was last called.
  func addNews(to counters: inout ConnectionCounters) {
    guard let now = http2?.counters else { return }
    counters.add(now, since: told)
    told = now
  }

  var snapshot: ConnectionSnapshot {
    let now = NIODeadline.now()
    let openCalls = http2?.streamCount ?? 0
    return ConnectionSnapshot(
      peer: peer, age: Duration(now - accepted), openCalls: openCalls, runningHandlers: runningHandlers,
      bufferedBytes: bufferedBytes, isDraining: isDraining,
      idle: openCalls == 0 ? Duration(now - lastEnded) : nil,
      counters: http2?.counters ?? ConnectionCounters())
  }

  func drain() {
    isDraining = true
    http2?.drain()
    endCalls(where: \.endsAtShutdown)
  }

  /// The grace is over: every call that is left ends, and with the last of them the connection.
  func cutOff() {
    endCalls { _ in true }
  }

  private func endCalls(where condition: (ServerCall) -> Bool) {
    var ending: [ServerCall] = []
    http2?.forEachDelegate { delegate in
      if let call = delegate as? ServerCall, condition(call) { ending.append(call) }
    }
    for call in ending { call.shutDown() }
  }

  /// Throws when as many handlers run as may.
  func beginHandler(lasting: Bool) throws(RPCError) {
    guard !lasting else { return try beginLastingCall() }
    guard runningHandlers < server.configuration.maxRunningHandlers else { throw .connectionIsBusy }
    // So that what is left never comes to nothing by the calls of one peer.
    guard runningHandlers < Self.fewHandlers || runningHandlers < loop.handlers.left / 4 else {
      throw .serverIsBusy
    }
    guard loop.handlers.take() else { throw .serverIsBusy }
    runningHandlers += 1
  }

  private func beginLastingCall() throws(RPCError) {
    guard lastingCalls < server.configuration.maxLastingCalls else { throw .tooManyLastingCalls }
    // So that every connection can have one, whatever others have: clients leave a server whose health they cannot watch.
    guard lastingCalls == 0 || loop.lastingCalls.left > server.configuration.maxLastingCallsPerServer / 2
    else {
      throw .serverIsBusy
    }
    guard loop.lastingCalls.take() else { throw .serverIsBusy }
    lastingCalls += 1
  }

  func endHandler(lasting: Bool) {
    if lasting {
      lastingCalls -= 1
      loop.lastingCalls.give()
    } else {
      runningHandlers -= 1
      loop.handlers.give()
    }
  }

  /// What every connection may run and hold, whatever the others do, as long as there is any.
  private static let fewHandlers = 8
  private static let fewBytes = 64 << 10

  /// Counts what a call holds more, or less, than before; throws, and counts nothing, when that is too much.
  func buffered(_ change: Int) throws(RPCError) {
    guard change > 0 else {
      bufferedBytes += change
      return loop.bytes.give(-change)
    }
    let bytes = bufferedBytes + change
    if bytes > Self.fewBytes {
      guard bytes <= server.configuration.maxBufferedBytes else { throw .connectionHoldsTooMuch }
      // The last of it is for connections that hold little.
      let left = loop.bytes.left - server.configuration.maxBufferedBytesPerServer / 8
      guard bytes <= left else { throw .serverHoldsTooMuch }
    }
    guard loop.bytes.take(change) else { throw .serverHoldsTooMuch }
    bufferedBytes = bytes
  }

  /// Whether so many more bytes of responses may be kept for the connection, which are counted if they are not few.
  func mayQueue(_ count: Int) -> Bool {
    let bytes = (http2?.queuedBytes ?? 0) + count
    guard bytes > Self.fewBytes, bytes > queuedBytes else { return true }
    guard bytes <= loop.queued.left + queuedBytes, loop.queued.take(bytes - queuedBytes) else { return false }
    queuedBytes = bytes
    return true
  }

  /// Some of it has been sent or dropped.
  func queueMoved() {
    guard queuedBytes > 0 else { return }
    let left = http2?.queuedBytes ?? 0
    let counted = left > Self.fewBytes ? min(left, queuedBytes) : 0
    loop.queued.give(queuedBytes - counted)
    queuedBytes = counted
  }

  /// Ends the calls that are due and returns the next deadline.
  private func expire(_ now: NIODeadline) -> NIODeadline? {
    var due: [ServerCall] = []
    var next: NIODeadline?
    http2?.forEachDelegate { delegate in
      guard let call = delegate as? ServerCall, let deadline = call.pendingDeadline else { return }
      if deadline <= now { due.append(call) } else { next = min(next ?? deadline, deadline) }
    }
    for call in due { call.expire() }
    return next
  }

  // MARK: From the connection

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
    ServerCall(self, stream)
  }

  func inboundBatchEnded() {
    swap(&ready, &starting)
    let wasPausing = loop.isPausing
    for call in starting {
      if loop.isPausing, call.hasToInflate { startLater(call) } else { call.start() }
    }
    starting.removeAll(keepingCapacity: true)
    // Its time begins when what led to it has been done. What others do meanwhile must not put off its end.
    if loop.isPausing, !wasPausing { loop.startPause() }
    // Whatever the batch resumed runs now, so that its answers share one write.
    executor.runReady()
  }

  private func startLater(_ call: ServerCall) {
    ready.append(call)
    guard !isPaused else { return }
    isPaused = true
    loop.pause(self)
  }

  func goOn() {
    isPaused = false
    inboundBatchEnded()
  }

  func settingsReceived() {}
  func goAwayReceived() {}

  func connectionClosed() {
    deadlines.cancel()
  }
}

extension RPCError {
  static let connectionIsBusy = RPCError(
    .resourceExhausted, "too many calls are running on this connection")
  static let tooManyLastingCalls = RPCError(
    .resourceExhausted, "too many calls without an end are open on this connection")
  static let connectionHoldsTooMuch = RPCError(
    .resourceExhausted, "the requests of this connection occupy too much memory")
  static let serverHoldsTooMuch = RPCError(
    .unavailable, "the requests of all connections occupy as much memory as they may")
  static let serverIsBusy = RPCError(.unavailable, "the server runs as many calls as it may")
  static let shuttingDown = RPCError(.unavailable, "the server is shutting down")
}
