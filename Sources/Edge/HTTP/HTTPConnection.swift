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

  private enum Phase {
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

  private let configuration: Configuration
  private var limits: HTTPLimits { configuration.limits }
  private var context: ChannelHandlerContext?
  private var phase = Phase.idle
  private var queue = CircularBuffer<HTTPServerRequestPart>()
  private var queuedRequests = 0
  private var isReading = false
  private var sawPart = false
  private var isDraining = false
  private let deadline = ConnectionDeadline()

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
    switch (phase, context.channel.isWritable) {
    case (.flushing, true): becomeIdle()
    case (.exchange(let exchange), true):
      deadline.disarm()
      armBody(of: exchange)
      exchange.writeWaiter.take()?.resume()
    case (.exchange, false): arm(limits.writeStallDeadline)
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

  private func take(_ part: HTTPServerRequestPart) {
    guard case .head(let head) = part else { return }
    let reception = isDraining ? configuration.refuse(.shuttingDown(head)) : configuration.receive(head)
    let exchange = HTTPExchange(head: head, reception: reception, start: .now())
    phase = .exchange(exchange)
    deadline.disarm()
    let declared = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
    if declared > exchange.maxBodyBytes {
      if case .answered(let response) = reception.plan { return respond(response, to: exchange) }
      return respond(refusal(.bodyTooLarge(maxBytes: exchange.maxBodyBytes), of: exchange), to: exchange)
    }
    if exchange.hasBody { expectBody(of: exchange) }
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

  private func receive(_ part: HTTPServerRequestPart, for exchange: HTTPExchange) {
    switch part {
    case .head:
      break
    case .body(var bytes):
      exchange.bytesIn += bytes.readableBytes
      if exchange.response == .ended { return }
      if exchange.bytesIn > exchange.maxBodyBytes { return overflow(exchange) }
      if case .answered = exchange.reception.plan { return }
      if let waiter = exchange.bodyWaiter.take() {
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
    readOn()
  }

  // MARK: Answers

  func respond(_ response: HTTPResponse, to exchange: HTTPExchange) {
    guard isCurrent(exchange), exchange.response == .none else { return }
    let hasNoBody = response.head.status == 204
    writeHead(response.head, of: exchange, framing: hasNoBody ? .none : .length(response.body.readableBytes))
    if !hasNoBody, exchange.head.method != .HEAD, response.body.readableBytes > 0 {
      exchange.bytesOut += response.body.readableBytes
      context?.write(NIOAny(response.body), promise: nil)
    }
    context?.flush()
    finish(exchange)
  }

  func start(_ head: HTTPResponseHead, of exchange: HTTPExchange) {
    guard isCurrent(exchange), exchange.response == .none else { return }
    let knowsChunks = exchange.head.version == .http1_1
    if !knowsChunks { exchange.keepsAlive = false }
    writeHead(head, of: exchange, framing: knowsChunks ? .chunked : .untilClose)
    context?.flush()
  }

  func write(
    _ chunk: ByteBuffer, of exchange: HTTPExchange, _ waiter: CheckedContinuation<Void, any Error>
  ) {
    guard isCurrent(exchange), exchange.response == .begun, let context else {
      return waiter.resume(throwing: ClientDisconnected())
    }
    if exchange.head.method != .HEAD, chunk.readableBytes > 0 {
      exchange.bytesOut += chunk.readableBytes
      if exchange.framing == .chunked {
        write("\(String(chunk.readableBytes, radix: 16))\r\n", flush: false)
        context.write(NIOAny(chunk), promise: nil)
        write("\r\n")
      } else {
        context.writeAndFlush(NIOAny(chunk), promise: nil)
      }
    }
    if context.channel.isWritable {
      waiter.resume()
    } else {
      exchange.writeWaiter = waiter
    }
  }

  func end(_ exchange: HTTPExchange) {
    guard isCurrent(exchange), exchange.response == .begun else { return }
    if exchange.framing == .chunked, exchange.head.method != .HEAD { write("0\r\n\r\n") }
    finish(exchange)
  }

  func fail(_ exchange: HTTPExchange, _ response: HTTPResponse) {
    guard isCurrent(exchange) else { return }
    if exchange.response == .none { respond(response, to: exchange) } else { abort() }
  }

  private func abort() {
    context?.close(promise: nil)
  }

  private func writeHead(_ head: HTTPResponseHead, of exchange: HTTPExchange, framing: BodyFraming) {
    guard let context else { return }
    // An answer ahead of the body's end is the connection's last: what is still to come is no request.
    if isDraining || !exchange.isRequestComplete { exchange.keepsAlive = false }
    exchange.response = .begun
    exchange.status = head.status
    exchange.framing = framing
    var out = context.channel.allocator.buffer(capacity: 1024)
    head.write(
      to: &out, framing: framing, requestID: exchange.reception.requestID, keepsAlive: exchange.keepsAlive,
      date: configuration.date)
    context.write(NIOAny(out), promise: nil)
  }

  private func finish(_ exchange: HTTPExchange) {
    exchange.response = .ended
    exchange.pending = ByteBuffer()
    exchange.fail(ClientDisconnected())
    configuration.log(exchange, .now())
    next(after: exchange)
  }

  private func next(after exchange: HTTPExchange) {
    guard let context, isCurrent(exchange) else { return }
    guard exchange.keepsAlive else { return hangUp(whileReceiving: !exchange.isRequestComplete) }
    guard context.channel.isWritable else {
      phase = .flushing
      return arm(limits.writeStallDeadline)
    }
    becomeIdle()
  }

  private func becomeIdle() {
    phase = .idle
    arm(limits.idleDeadline)
    takeQueued()
    readOn()
  }

  /// Hands on queued parts until a request is under way.
  private func takeQueued() {
    while let part = queue.first {
      switch phase {
      case .idle, .head:
        queue.removeFirst()
        if case .head = part { queuedRequests -= 1 }
        take(part)
      case .exchange(let exchange) where !exchange.isRequestComplete:
        queue.removeFirst()
        receive(part, for: exchange)
      default:
        return
      }
    }
  }

  /// Ends the connection once its last answer is out. Closing a socket with unread bytes would reset it, and
  /// the client might never see the answer; so to one that is still sending we listen a little longer.
  private func hangUp(whileReceiving: Bool) {
    guard let context else { return }
    queue.removeAll()
    phase = .lingering
    arm(limits.writeStallDeadline)
    let flushed = context.eventLoop.makePromise(of: Void.self)
    flushed.futureResult.assumeIsolated().whenComplete { [self] _ in
      guard whileReceiving else { return self.abort() }
      arm(limits.lingerDeadline)
      self.context?.close(mode: .output, promise: nil)
      readOn()
    }
    context.writeAndFlush(NIOAny(ByteBuffer()), promise: flushed)
  }

  private func answer(_ refusal: HTTPRefusal) {
    let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "")
    let exchange = HTTPExchange(head: head, reception: configuration.refuse(refusal), start: .now())
    exchange.keepsAlive = false
    phase = .exchange(exchange)
    respond(exchange.reception.response, to: exchange)
  }

  private func refusal(_ refusal: HTTPRefusal, of exchange: HTTPExchange) -> HTTPResponse {
    var refusal = refusal
    refusal.head = exchange.head
    refusal.requestID = exchange.reception.requestID
    return configuration.refuse(refusal).response
  }

  // MARK: Reading and time

  private func readOn() {
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

  private func armBody(of exchange: HTTPExchange) {
    guard exchange.hasBody, !exchange.isRequestComplete else { return }
    let limit = exchange.isStreamed ? limits.uploadDeadline : limits.bodyDeadline
    arm(until: exchange.start + limit)
  }

  private func arm(_ amount: TimeAmount) {
    arm(until: .now() + amount)
  }

  private func arm(until time: NIODeadline) {
    guard let context else { return }
    let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
    deadline.arm(until: time, on: context.eventLoop) { connection.value.timeOut() }
  }

  private func timeOut() {
    switch phase {
    case .idle, .flushing, .lingering, .closed:
      context?.close(promise: nil)
    case .head:
      answer(.headerTimeout)
    case .exchange(let exchange) where exchange.response == .none && !exchange.isRequestComplete:
      exchange.task?.cancel()
      exchange.fail(BodyTimeout())
      respond(refusal(.bodyTimeout, of: exchange), to: exchange)
    case .exchange:
      context?.close(promise: nil)
    }
  }

  private func write(_ text: String, flush: Bool = true) {
    guard let context else { return }
    context.write(NIOAny(context.channel.allocator.buffer(string: text)), promise: nil)
    if flush { context.flush() }
  }

  private func isCurrent(_ exchange: HTTPExchange) -> Bool {
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
      configuration.log(exchange, .now())
    }
  }
}

extension HTTPExchange {
  /// Wakes whoever waits for the client.
  fileprivate func fail(_ error: any Error) {
    if bodyFailure == nil { bodyFailure = error }
    bodyWaiter.take()?.resume(throwing: error)
    writeWaiter.take()?.resume(throwing: error)
  }
}

extension Reception {
  fileprivate var response: HTTPResponse {
    if case .answered(let response) = plan { response } else { HTTPResponse(HTTPResponseHead(status: 500)) }
  }
}
