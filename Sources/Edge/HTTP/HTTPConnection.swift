import NIOCore
import NIOHTTP1
import RPC

/// One client connection: takes requests one after the other, has each answered, keeps to the limits.
///
/// The socket is read only on demand. While a request is answered one more read is out, which is how a client
/// that hangs up is noticed; what it brings is queued, and with a full queue reading stops.
final class HTTPConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart

  struct Configuration: Sendable {
    var limits: HTTPLimits
    var date = HTTPDate()
    /// Looks at a request's head and says how it is to be answered.
    var receive: @Sendable (HTTPRequestHead) -> Reception
    /// The answer to a request that never became one: no route, no id, only a status and a code.
    var refuse: @Sendable (HTTPRefusal) -> Reception
    /// Called once for each request, when its answer is out or has failed.
    var log: @Sendable (HTTPExchange, _ end: NIODeadline) -> Void
  }

  enum Phase {
    /// Between requests; deadline: idle.
    case idle
    /// Part of a header block is here; deadline: header.
    case head
    /// A request is being received or answered.
    case exchange(HTTPExchange)
    /// An answer fills the send buffer; the next request waits until the client has read it. Deadline: stall.
    case flushing
    /// The last answer is on its way, and what the client still sends is dropped.
    case lingering
    case closed
  }

  let configuration: Configuration
  var limits: HTTPLimits { configuration.limits }
  var context: ChannelHandlerContext?
  var phase = Phase.idle
  var queue = CircularBuffer<HTTPServerRequestPart>()
  var queuedRequests = 0
  var isTakingQueued = false
  private var isReading = false
  private var sawPart = false
  var isDraining = false
  let deadline = ConnectionDeadline()
  /// What the send buffer held when the clock of a full one was last set.
  var unsentBytes = 0

  init(_ configuration: Configuration) {
    self.configuration = configuration
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
    let part = unwrapInboundIn(data)
    sawPart = true
    switch phase {
    case .idle, .head:
      take(part)
    case .exchange(let exchange) where !exchange.isRequestComplete:
      receive(part, for: exchange)
    case .exchange, .flushing:
      if case .head = part { queuedRequests += 1 }
      queue.append(part)
    case .lingering, .closed:
      break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isReading = false
    // The decoder has bytes but no request yet: the clock of its header block starts.
    if case .idle = phase, !sawPart {
      phase = .head
      arm(limits.headerDeadline)
    }
    sawPart = false
    readOn()
  }

  func channelInactive(context: ChannelHandlerContext) {
    close()
    self.context = nil
    deadline.cancel()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { unsentBytes = 0 }
    switch (phase, context.channel.isWritable) {
    case (.flushing, true): becomeIdle()
    case (.exchange(let exchange), true):
      deadline.disarm()
      armBody(of: exchange)
      exchange.writeWaiter.take()?.resume()
    case (.exchange, false): armStall()
    default: break
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard event is Drain else { return context.fireUserInboundEventTriggered(event) }
    isDraining = true
    switch phase {
    case .idle, .head: context.close(promise: nil)
    case .exchange(let exchange): exchange.keepsAlive = false
    case .flushing: hangUp(whileReceiving: false)
    case .lingering, .closed: break
    }
  }

  /// Sent to every connection when the server shuts down: finish what runs, take nothing more.
  struct Drain {}

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? HTTPParserError, context.channel.isActive else {
      return context.close(promise: nil)
    }
    switch phase {
    case .idle, .head:
      answer(error == .headerOverflow ? .headerTooLarge : .malformed)
    case .exchange(let exchange) where !exchange.isRequestComplete && exchange.response == .none:
      // A body that breaks its own framing. Nothing after it can be trusted to be a request.
      exchange.task?.cancel()
      exchange.fail(error)
      respond(configuration.refuse(.malformed).response, to: exchange)
    case .exchange(let exchange) where exchange.isRequestComplete:
      // A bad request behind one that is being answered: that one's answer is the last.
      exchange.keepsAlive = false
      queue.removeAll()
    case .exchange, .flushing:
      context.close(promise: nil)
    case .lingering, .closed:
      break
    }
  }

  // MARK: Requests

  func take(_ part: HTTPServerRequestPart) {
    guard let context, case .head(let head) = part else { return }
    let reception =
      if isDraining {
        configuration.refuse(.shuttingDown(head))
      } else if !head.namesOneHost {
        // RFC 9112 §3.2: who a request is for must not be open to guessing.
        configuration.refuse(.hostUnclear(head))
      } else {
        configuration.receive(head)
      }
    let exchange = HTTPExchange(head: head, reception: reception, start: context.eventLoop.now)
    begin(exchange)
    deadline.disarm()
    let declared = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
    if declared > exchange.maxBodyBytes {
      if case .answered(let response) = reception.plan { return respond(response, to: exchange) }
      return respond(refusal(.bodyTooLarge(maxBytes: exchange.maxBodyBytes), of: exchange), to: exchange)
    }
    if exchange.hasBody { expectBody(of: exchange) }
    // An expectation that was refused is answered: no call may begin for it.
    guard exchange.response == .none else { return }
    if case .streamed(_, let body) = reception.plan { run(exchange) { await body($0.body, $0) } }
  }

  private func expectBody(of exchange: HTTPExchange) {
    if let expectation = exchange.head.headers.first(name: "expect") {
      guard expectation.lowercased() == "100-continue" else {
        return respond(refusal(.unknownExpectation, of: exchange), to: exchange)
      }
      if case .answered(let response) = exchange.reception.plan { return respond(response, to: exchange) }
      write("HTTP/1.1 100 Continue\r\n\r\n")
    }
    armBody(of: exchange)
  }

  func receive(_ part: HTTPServerRequestPart, for exchange: HTTPExchange) {
    switch part {
    case .head:
      break
    case .body(var bytes):
      exchange.bytesIn += bytes.readableBytes
      if exchange.response == .ended { return }
      if exchange.bytesIn > exchange.maxBodyBytes { return overflow(exchange) }
      if case .answered = exchange.reception.plan { return }
      if let waiter = exchange.bodyWaiter.take() {
        armBody(of: exchange)
        waiter.resume(returning: bytes)
      } else if exchange.pending.readableBytes == 0 {
        exchange.pending = bytes
      } else {
        exchange.pending.writeBuffer(&bytes)
      }
    case .end:
      exchange.isRequestComplete = true
      if exchange.response == .ended { return next(after: exchange) }
      if exchange.isStreamed || exchange.response == .none { deadline.disarm() }
      switch exchange.reception.plan {
      case .answered(let response): respond(response, to: exchange)
      case .collected(_, let body):
        let bytes = exchange.pending
        exchange.pending = ByteBuffer()
        run(exchange) { await body(bytes, $0) }
      case .streamed: exchange.bodyWaiter.take()?.resume(returning: nil)
      }
    }
  }

  private func overflow(_ exchange: HTTPExchange) {
    let error = BodyTooLarge(maxBytes: exchange.maxBodyBytes)
    exchange.fail(error)
    guard exchange.response == .none else { return }
    exchange.task?.cancel()
    if case .answered(let response) = exchange.reception.plan { return respond(response, to: exchange) }
    respond(refusal(.bodyTooLarge(maxBytes: error.maxBytes), of: exchange), to: exchange)
  }

  private func run(
    _ exchange: HTTPExchange, _ body: @escaping @Sendable (HTTPResponder) async -> Void
  ) {
    guard let context else { return }
    let responder = HTTPResponder(self, exchange, on: context.eventLoop)
    exchange.task = Task(executorPreference: EventLoopTaskExecutor.current(on: context.eventLoop)) {
      await body(responder)
    }
  }

  /// Waits for body bytes on behalf of the application.
  func awaitBody(of exchange: HTTPExchange, _ waiter: CheckedContinuation<ByteBuffer?, any Error>) {
    if let failure = exchange.bodyFailure { return waiter.resume(throwing: failure) }
    if exchange.pending.readableBytes > 0 {
      let bytes = exchange.pending
      exchange.pending = ByteBuffer()
      waiter.resume(returning: bytes)
      return readOn()
    }
    if exchange.isRequestComplete { return waiter.resume(returning: nil) }
    guard isCurrent(exchange) else { return waiter.resume(throwing: ClientDisconnected()) }
    exchange.bodyWaiter = waiter
    armBody(of: exchange)
    readOn()
  }

  // MARK: Reading

  func readOn() {
    guard !isReading, let context, context.channel.isActive, wantsBytes else { return }
    isReading = true
    context.read()
  }

  private var wantsBytes: Bool {
    switch phase {
    case .idle, .head, .lingering: true
    case .flushing, .closed: false
    case .exchange(let exchange) where !exchange.isRequestComplete && exchange.isStreamed:
      exchange.pending.readableBytes < limits.uploadBufferBytes
    case .exchange(let exchange) where !exchange.isRequestComplete: true
    case .exchange: queuedRequests < limits.pipelinedRequests
    }
  }

  func write(_ text: String, flush: Bool = true) {
    guard let context else { return }
    context.write(NIOAny(context.channel.allocator.buffer(string: text)), promise: nil)
    if flush { context.flush() }
  }

  func isCurrent(_ exchange: HTTPExchange) -> Bool {
    if case .exchange(let current) = phase { current === exchange } else { false }
  }

  private func close() {
    guard case .exchange(let exchange) = phase else {
      phase = .closed
      return
    }
    phase = .closed
    exchange.task?.cancel()
    exchange.fail(ClientDisconnected())
    if exchange.response != .ended {
      if exchange.status == 0 { exchange.status = 499 }
      record(exchange)
    }
  }

  func begin(_ exchange: HTTPExchange) {
    phase = .exchange(exchange)
    exchange.reception.metrics?.began()
  }

  func record(_ exchange: HTTPExchange) {
    guard let context else { return }
    let end = context.eventLoop.now
    exchange.reception.metrics?.ended(exchange.status, after: end - exchange.start)
    configuration.log(exchange, end)
  }
}

extension HTTPExchange {
  /// Wakes whoever waits for the client.
  func fail(_ error: any Error) {
    if bodyFailure == nil { bodyFailure = error }
    bodyWaiter.take()?.resume(throwing: error)
    writeWaiter.take()?.resume(throwing: error)
  }
}

extension HTTPRequestHead {
  fileprivate var namesOneHost: Bool {
    let count = headers.count { $0.name.utf8.count == 4 && $0.name.lowercased() == "host" }
    return count == 1 || count == 0 && version == .http1_0
  }
}
