import NIOCore
import NIOHTTP1

// How answers go out, and what follows them on the connection.
extension HTTPConnection {
  func respond(_ response: HTTPResponse, to exchange: HTTPExchange) {
    guard isCurrent(exchange), exchange.response == .none else { return }
    let hasNoBody = response.head.status == 204 || response.head.status == 304
    let body = hasNoBody || exchange.head.method == .HEAD ? ByteBuffer() : response.body
    exchange.bytesOut = body.readableBytes
    writeHead(
      response.head, of: exchange, framing: hasNoBody ? .none : .length(response.body.readableBytes),
      body: body)
    context?.flush()
    finish(exchange)
  }

  func start(_ head: HTTPResponseHead, of exchange: HTTPExchange) {
    guard isCurrent(exchange), exchange.response == .none else { return }
    // RFC 9112 §6.3: a 204 ends with its head. A chunk after it would be read as the start of the next answer.
    let framing: BodyFraming =
      head.status == 204 ? .none : exchange.head.version == .http1_1 ? .chunked : .untilClose
    if framing == .untilClose { exchange.keepsAlive = false }
    writeHead(head, of: exchange, framing: framing)
    context?.flush()
  }

  func write(
    _ chunk: ByteBuffer, of exchange: HTTPExchange, _ waiter: CheckedContinuation<Void, any Error>
  ) {
    guard isCurrent(exchange), exchange.response == .begun, let context else {
      return waiter.resume(throwing: ClientDisconnected())
    }
    if exchange.head.method != .HEAD, exchange.framing != .none, chunk.readableBytes > 0 {
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

  func abort() {
    context?.close(promise: nil)
  }

  private func writeHead(
    _ head: HTTPResponseHead, of exchange: HTTPExchange, framing: BodyFraming, body: ByteBuffer = ByteBuffer()
  ) {
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
    // A small body is copied behind its head: one piece to write costs less than two.
    let isSmall = body.readableBytes <= 4096
    if isSmall { out.writeImmutableBuffer(body) }
    context.write(NIOAny(out), promise: nil)
    if !isSmall { context.write(NIOAny(body), promise: nil) }
  }

  private func finish(_ exchange: HTTPExchange) {
    exchange.response = .ended
    exchange.pending = ByteBuffer()
    exchange.fail(ClientDisconnected())
    record(exchange)
    next(after: exchange)
  }

  func next(after exchange: HTTPExchange) {
    guard let context, isCurrent(exchange) else { return }
    guard exchange.keepsAlive else { return hangUp(whileReceiving: !exchange.isRequestComplete) }
    guard context.channel.isWritable else {
      phase = .flushing
      return armStall()
    }
    becomeIdle()
  }

  func becomeIdle() {
    phase = .idle
    arm(limits.idleDeadline)
    takeQueued()
    readOn()
  }

  /// Hands on queued parts until a request is under way. Requests that are answered at once lead back here; those
  /// the outer loop takes, or a client could send enough of them to use up the stack.
  private func takeQueued() {
    guard !isTakingQueued else { return }
    isTakingQueued = true
    defer { isTakingQueued = false }
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
  func hangUp(whileReceiving: Bool) {
    guard let context else { return }
    queue.removeAll()
    phase = .lingering
    armStall()
    let flushed = context.eventLoop.makePromise(of: Void.self)
    flushed.futureResult.assumeIsolated().whenComplete { [self] _ in
      guard whileReceiving else { return self.abort() }
      unsentBytes = 0
      arm(limits.lingerDeadline)
      self.context?.close(mode: .output, promise: nil)
      readOn()
    }
    context.writeAndFlush(NIOAny(ByteBuffer()), promise: flushed)
  }

  func answer(_ refusal: HTTPRefusal) {
    guard let context else { return }
    let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "")
    let exchange = HTTPExchange(
      head: head, reception: configuration.refuse(refusal), start: context.eventLoop.now)
    exchange.keepsAlive = false
    begin(exchange)
    respond(exchange.reception.response, to: exchange)
  }

  func refusal(_ refusal: HTTPRefusal, of exchange: HTTPExchange) -> HTTPResponse {
    var refusal = refusal
    refusal.head = exchange.head
    refusal.requestID = exchange.reception.requestID
    return configuration.refuse(refusal).response
  }
}

extension Reception {
  var response: HTTPResponse {
    if case .answered(let response) = plan { response } else { HTTPResponse(HTTPResponseHead(status: 500)) }
  }
}
