import NIOCore
import NIOHTTP1

// How answers go out, and what follows them on the connection.
extension HTTP1Connection: ExchangeTransport {
  func sendContinue(for exchange: HTTPExchange) {
    write("HTTP/1.1 100 Continue\r\n\r\n")
  }

  func bodyWanted(of exchange: HTTPExchange) {
    guard isCurrent(exchange) else { return }
    advance()
    readOn()
  }

  func bodyTaken(_ count: Int, of exchange: HTTPExchange) {
    if isCurrent(exchange), !exchange.isRequestComplete, exchange.isStreamed { readOn() }
  }

  func send(_ response: HTTPResponse, contentLength: Int?, of exchange: HTTPExchange) {
    guard let context else { return }
    writeHead(
      response.head, of: exchange, framing: contentLength.map { .length($0) } ?? .none, body: response.body)
    context.flush()
    next(after: exchange)
  }

  func sendHead(_ head: HTTPResponseHead, of exchange: HTTPExchange) {
    // RFC 9112 §6.3: a 204 ends with its head. A chunk after it would be read as the start of the next answer.
    let framing: BodyFraming =
      !head.status.hasBody ? .none : exchange.head.version == .http1_0 ? .untilClose : .chunked
    if framing == .untilClose { keepsAlive = false }
    writeHead(head, of: exchange, framing: framing)
    context?.flush()
  }

  func sendPiece(_ piece: ByteBuffer, of exchange: HTTPExchange) -> Bool {
    guard let context else { return false }
    if framing == .chunked {
      write("\(String(piece.readableBytes, radix: 16))\r\n", flush: false)
      context.write(NIOAny(piece), promise: nil)
      write("\r\n")
    } else {
      context.writeAndFlush(NIOAny(piece), promise: nil)
    }
    return context.channel.isWritable
  }

  func sendEnd(of exchange: HTTPExchange) {
    if framing == .chunked, exchange.head.method != .HEAD { write("0\r\n\r\n") }
    next(after: exchange)
  }

  func abort(_ exchange: HTTPExchange) {
    if isCurrent(exchange) { context?.close(promise: nil) }
  }

  func taskBegan() {}
  func taskEnded() {}

  private func writeHead(
    _ head: HTTPResponseHead, of exchange: HTTPExchange, framing: BodyFraming, body: ByteBuffer = ByteBuffer()
  ) {
    guard let context else { return }
    // An answer ahead of the body's end is the connection's last: what is still to come is no request.
    if isDraining || !exchange.isRequestComplete { keepsAlive = false }
    self.framing = framing
    var out = context.channel.allocator.buffer(capacity: 1024)
    head.write(
      to: &out, framing: framing, requestID: exchange.reception.requestID, keepsAlive: keepsAlive,
      isSecure: isSecure, date: core.date)
    // A small body is copied behind its head: one piece to write costs less than two.
    let isSmall = body.readableBytes <= 4096
    if isSmall { out.writeImmutableBuffer(body) }
    context.write(NIOAny(out), promise: nil)
    if !isSmall { context.write(NIOAny(body), promise: nil) }
  }

  private func write(_ text: String, flush: Bool = true) {
    guard let context else { return }
    context.write(NIOAny(context.channel.allocator.buffer(string: text)), promise: nil)
    if flush { context.flush() }
  }

  /// Goes on once the exchange has had both its ends.
  func next(after exchange: HTTPExchange) {
    guard let context, isCurrent(exchange), exchange.response == .ended else { return }
    guard keepsAlive else {
      exchange.finished()
      return hangUp(whileReceiving: !exchange.isRequestComplete)
    }
    guard context.channel.isWritable else {
      phase = .flushing(exchange)
      return armStall()
    }
    exchange.finished()
    becomeIdle()
  }

  func becomeIdle() {
    phase = .idle
    arm(limits.idleDeadline)
    advance()
    readOn()
  }

  /// Ends the connection once its last answer is out. Closing a socket with unread bytes would reset it, and
  /// the client might never see the answer; so to one that is still sending we listen a little longer.
  func hangUp(whileReceiving: Bool) {
    guard let context else { return }
    phase = .lingering
    armStall()
    let flushed = context.eventLoop.makePromise(of: Void.self)
    flushed.futureResult.assumeIsolated().whenComplete { [self] _ in
      guard whileReceiving else {
        self.context?.close(promise: nil)
        return
      }
      unsentBytes = 0
      arm(limits.lingerDeadline)
      self.context?.close(mode: .output, promise: nil)
      readOn()
    }
    context.writeAndFlush(NIOAny(ByteBuffer()), promise: flushed)
  }
}

extension Reception {
  var response: HTTPResponse {
    if case .answered(let response) = plan { response } else { HTTPResponse(HTTPResponseHead(status: 500)) }
  }
}
