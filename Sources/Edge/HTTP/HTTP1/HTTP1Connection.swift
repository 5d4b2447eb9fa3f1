import NIOCore
import NIOHTTP1
import RPC

/// One client connection of HTTP/1.1: takes requests one after the other, has each answered, keeps to the limits.
///
/// The socket is read only on demand. While a request is answered one more read is out, which is how a client
/// that hangs up is noticed; what it brings stays with the parser, and when that is enough, reading stops.
final class HTTP1Connection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  enum Phase {
    /// Between requests; deadline: idle.
    case idle
    /// Part of a header block is here; deadline: header.
    case head
    /// A request is being received or answered.
    case exchange(HTTPExchange)
    /// An answer fills the send buffer; the next request waits until the client has read it. Deadline: stall.
    case flushing(HTTPExchange)
    /// The last answer is on its way, and what the client still sends is dropped.
    case lingering
    case closed
  }

  let core: HTTPCore
  let eventLoop: any EventLoop
  let isSecure: Bool
  var limits: HTTPLimits { core.limits }
  var context: ChannelHandlerContext?
  var phase = Phase.idle
  private var parser: RequestParser
  private var isReading = false
  private var isAdvancing = false
  /// Requests begun since the others last had their turn.
  private var turn = 0
  private var isTurnOver = false
  private(set) var isDraining = false
  /// Of the exchange.
  var keepsAlive = true
  var framing = BodyFraming.none
  let deadline = ConnectionDeadline()
  /// Read and dropped since the last answer.
  private var lingeringBytes = 0
  /// What the send buffer held when the clock of a full one was last set.
  var unsentBytes = 0

  init(_ core: HTTPCore, on eventLoop: any EventLoop, isSecure: Bool = false) {
    self.core = core
    self.eventLoop = eventLoop
    self.isSecure = isSecure
    var limits = RequestParser.Limits()
    limits.headerBytes = core.limits.headerBytes
    limits.headerFields = core.limits.headerFields
    parser = RequestParser(limits)
  }

  // MARK: Events of the channel

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { begin() }
  }

  func channelActive(context: ChannelHandlerContext) {
    begin()
  }

  private func begin() {
    phase = .head
    arm(limits.headerDeadline)
    readOn()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = unwrapInboundIn(data)
    switch phase {
    case .lingering:
      lingeringBytes += bytes.readableBytes
      if lingeringBytes > limits.lingerBytes { context.close(promise: nil) }
    case .closed: break
    default: parser.feed(bytes)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isReading = false
    if !isTurnOver { turn = 0 }
    advance()
    readOn()
  }

  func channelInactive(context: ChannelHandlerContext) {
    if case .exchange(let exchange) = phase { exchange.disconnected() }
    if case .flushing(let exchange) = phase { exchange.finished() }
    phase = .closed
    self.context = nil
    deadline.cancel()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { unsentBytes = 0 }
    switch (phase, context.channel.isWritable) {
    case (.flushing(let exchange), true):
      exchange.finished()
      becomeIdle()
    case (.exchange(let exchange), true):
      deadline.disarm()
      bodyClockChanged(of: exchange)
      exchange.becameWritable()
    case (.exchange, false): armStall()
    default: break
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  /// The server shuts down: finish what runs, take nothing more.
  func drain() {
    isDraining = true
    switch phase {
    case .idle, .head: context?.close(promise: nil)
    case .exchange: keepsAlive = false
    case .flushing(let exchange):
      exchange.finished()
      hangUp(whileReceiving: false)
    case .lingering, .closed: break
    }
  }

  // MARK: Requests

  /// Hands on what is here, as far as it is wanted. Requests that are answered at once lead back here; those the outer
  /// loop takes, or a client could send enough of them to use up the stack.
  func advance() {
    guard !isAdvancing, !isTurnOver else { return }
    isAdvancing = true
    defer { isAdvancing = false }
    while true {
      switch phase {
      case .idle, .head:
        guard turn < limits.requestsPerTurn else { return yieldTurn() }
        guard let part = nextPart() else {
          if case .idle = phase, parser.isInHead {
            // The clock of its header block starts.
            phase = .head
            arm(limits.headerDeadline)
          }
          return
        }
        guard case .head(let head, let length) = part else { return }
        turn += 1
        take(head, length)
      case .exchange(let exchange) where !exchange.isRequestComplete:
        guard !exchange.isStreamed || exchange.pendingBytes < limits.uploadBufferBytes, let part = nextPart()
        else {
          return
        }
        switch part {
        case .head: return
        case .body(let bytes): exchange.received(bytes)
        case .end: exchange.receivedEnd()
        }
      case .exchange, .flushing, .lingering, .closed:
        return
      }
    }
  }

  /// A read may hold more than a thousand requests that are answered at once.
  private func yieldTurn() {
    guard let context else { return }
    isTurnOver = true
    context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
      self.isTurnOver = false
      self.turn = 0
      self.advance()
      self.readOn()
    }
  }

  /// A loop with anything to run does not look at its sockets: one that were over before the answers are written would be
  /// no pause.
  private static let pause = TimeAmount.microseconds(500)

  private func nextPart() -> RequestParser.Part? {
    do throws(HTTPRefusal) {
      return try parser.next()
    } catch {
      refuse(error)
      return nil
    }
  }

  private func take(_ head: HTTPRequestHead, _ length: BodyLength) {
    keepsAlive = head.isKeepAlive && head.method != .CONNECT
    let reception =
      isDraining ? core.refuse(.shuttingDown(head)) : core.receive(head, context?.channel.remoteAddress)
    let exchange = begin(head, hasBody: length != .none, reception)
    deadline.disarm()
    var declaredBytes: Int?
    if case .bytes(let count) = length { declaredBytes = count }
    exchange.begin(declaredBytes: declaredBytes)
  }

  private func begin(_ head: HTTPRequestHead, hasBody: Bool, _ reception: Reception) -> HTTPExchange {
    let exchange = HTTPExchange(
      head, hasBody: hasBody, reception: reception, core: core, transport: self, start: eventLoop.now)
    phase = .exchange(exchange)
    return exchange
  }

  /// What comes is no request, or does not come at all. Its answer is the last thing that is said.
  func refuse(_ refusal: HTTPRefusal) {
    guard let context, context.channel.isActive else { return }
    switch phase {
    case .idle, .head:
      keepsAlive = false
      let head = refusal.head ?? HTTPRequestHead(version: .http1_1, method: .GET, uri: "")
      let exchange = begin(head, hasBody: false, core.refuse(refusal))
      exchange.respond(exchange.reception.response)
    case .exchange(let exchange) where exchange.response == .none && !exchange.isRequestComplete:
      // A body that breaks its own framing. Nothing after it can be trusted to be a request.
      exchange.failBody(refusal, refusal)
    case .exchange, .flushing:
      context.close(promise: nil)
    case .lingering, .closed:
      break
    }
  }

  // MARK: Reading

  func readOn() {
    guard !isReading, let context, context.channel.isActive, wantsBytes else { return }
    isReading = true
    context.read()
  }

  private var wantsBytes: Bool {
    switch phase {
    case .idle, .head: !isTurnOver
    case .lingering: true
    case .flushing, .closed: false
    case .exchange(let exchange) where !exchange.isRequestComplete && exchange.isStreamed:
      exchange.pendingBytes < limits.uploadBufferBytes
    case .exchange(let exchange) where !exchange.isRequestComplete: true
    case .exchange: parser.bufferedBytes < limits.pipelinedBytes
    }
  }

  func isCurrent(_ exchange: HTTPExchange) -> Bool {
    if case .exchange(let current) = phase { current === exchange } else { false }
  }
}
