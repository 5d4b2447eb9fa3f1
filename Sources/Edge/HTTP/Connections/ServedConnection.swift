import Logging
import NIOCore
import RPC

/// A connection that was accepted, from its handshake to its end: finds out what is spoken on it and has that served.
final class ServedConnection {
  private enum Spoken {
    case unknown
    case http1(HTTP1Connection)
    case http2(HTTP2Exchanges)
  }

  private let channel: any Channel
  private let core: HTTPCore
  private var spoken = Spoken.unknown

  init(_ channel: any Channel, _ core: HTTPCore) {
    self.channel = channel
    self.core = core
  }

  /// - Parameters:
  ///   - tls: with it ALPN says what is spoken.
  ///   - takesHTTP2: whether a client may begin with HTTP/2 in plaintext, knowing that it is spoken here (RFC 9113, 3.3).
  func start(tls: ServerTLS?, takesHTTP2: Bool, logger: Logger) throws {
    if let tls {
      try tls.secure(channel, logger: logger) { [self] name in
        if name == "h2" { try startHTTP2(isSecure: true) } else { try startHTTP1(isSecure: true) }
      }
    } else if takesHTTP2 {
      let handler = PrefaceDetector(within: core.limits.headerDeadline) { [self] isHTTP2 in
        if isHTTP2 { try startHTTP2(isSecure: false) } else { try startHTTP1(isSecure: false) }
      }
      try channel.pipeline.syncOperations.addHandler(handler)
    } else {
      try startHTTP1(isSecure: false)
    }
  }

  /// Idle connections end now, busy ones with their answers.
  func drain() {
    switch spoken {
    case .unknown: channel.close(promise: nil)
    case .http1(let connection): connection.drain()
    case .http2(let exchanges): exchanges.drain()
    }
  }

  func close() { channel.close(promise: nil) }
  var closeFuture: EventLoopFuture<Void> { channel.closeFuture }

  /// The channel has closed.
  func release() {
    if case .http2(let exchanges) = spoken { exchanges.release() }
    spoken = .unknown
  }

  private func startHTTP1(isSecure: Bool) throws {
    try channel.syncOptions?.setOption(.autoRead, value: false)
    let connection = HTTP1Connection(core, on: channel.eventLoop, isSecure: isSecure)
    spoken = .http1(connection)
    try channel.pipeline.syncOperations.addHandler(connection)
  }

  private func startHTTP2(isSecure: Bool) throws {
    let exchanges = HTTP2Exchanges(
      core, on: channel.eventLoop, isSecure: isSecure, peer: channel.remoteAddress)
    spoken = .http2(exchanges)
    try exchanges.start(in: channel.pipeline.syncOperations)
  }
}

/// Tells HTTP/2 from HTTP/1.1 by the first bytes: no request of the latter begins with PRI, which was reserved for this.
final class PrefaceDetector: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  private let timeout: TimeAmount
  private let found: (_ isHTTP2: Bool) throws -> Void
  private var received = ByteBuffer()
  private var deadline: Scheduled<Void>?

  init(within timeout: TimeAmount, found: @escaping (_ isHTTP2: Bool) throws -> Void) {
    self.timeout = timeout
    self.found = found
  }

  func handlerAdded(context: ChannelHandlerContext) {
    deadline = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) { context.close(promise: nil) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    deadline?.cancel()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    received.writeImmutableBuffer(unwrapInboundIn(data))
    let start = Self.preface.prefix(received.readableBytes)
    let isLike = received.readableBytesView.prefix(start.count).elementsEqual(start)
    guard !isLike || received.readableBytes >= Self.preface.count else { return }
    deadline?.cancel()
    do {
      try found(isLike)
    } catch {
      return context.fireErrorCaught(error)
    }
    context.fireChannelRead(wrapInboundOut(received))
    context.fireChannelReadComplete()
    context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
  }
}
