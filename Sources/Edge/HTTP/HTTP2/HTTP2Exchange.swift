import HTTP2
import NIOCore
import NIOHTTP1

/// A request on a stream of HTTP/2. What RFC 9113, 8 calls malformed nghttp2 has reset before it is seen here: names in upper
/// case, fields about the connection, pseudo-fields that are missing, twice or late, a body that is not as long as it says.
final class HTTP2Exchange: HTTP2StreamDelegate, ExchangeTransport {
  private let connection: HTTP2Exchanges
  private var stream: HTTP2Stream?
  private var exchange: HTTPExchange?
  private var request = RequestFields()
  private let deadline = ConnectionDeadline()
  /// Until all that was read with its headers has been seen: most requests are complete by then, and need no clock.
  private var isFresh = true
  private var core: HTTPCore { connection.core }
  var eventLoop: any EventLoop { connection.eventLoop }

  init(_ stream: HTTP2Stream, of connection: HTTP2Exchanges) {
    self.stream = stream
    self.connection = connection
    request.limits = (connection.core.limits.headerBytes, connection.core.limits.headerFields)
  }

  // MARK: From the stream

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    // What comes behind the body is of no interest.
    if exchange == nil { request.add(name, value) }
  }

  func headersEnded(trailing: Bool) {
    guard !trailing, exchange == nil, let stream else { return }
    guard connection.hasRoom else { return stream.reset(.refusedStream) }
    let fields = request
    request = RequestFields()
    let (head, reception): (HTTPRequestHead, Reception)
    switch fields.head() {
    case .success(let found):
      head = found
      reception =
        connection.isDraining ? core.refuse(.shuttingDown(found)) : core.receive(found, connection.peer)
    case .failure(let refusal):
      head = HTTPRequestHead(
        version: .http2, method: refusal.head?.method ?? .GET, uri: refusal.head?.uri ?? "")
      reception = core.refuse(refusal)
    }
    // Whether a body follows shows right after this, when the stream ends or does not.
    let exchange = HTTPExchange(
      head, hasBody: true, reception: reception, core: core, transport: self, start: eventLoop.now)
    self.exchange = exchange
    connection.began(self)
    exchange.begin(declaredBytes: head.headers.first(name: "content-length").flatMap { Int($0) })
  }

  func received(data: UnsafeRawBufferPointer) {
    guard let exchange else { return consume(data.count) }
    exchange.received(ByteBuffer(bytes: data))
  }

  func settle() {
    isFresh = false
    exchange.map(bodyClockChanged)
  }

  func inboundEnded() {
    exchange?.receivedEnd()
  }

  func outboundMoved() {
    guard let exchange, let stream, stream.queuedBytes <= Self.lowWaterBytes else { return }
    exchange.becameWritable()
  }

  func closed(_ code: HTTP2ErrorCode) {
    deadline.cancel()
    stream = nil
    exchange?.disconnected()
    exchange = nil
  }

  private static let highWaterBytes = 64 << 10
  private static let lowWaterBytes = 32 << 10

  // MARK: From the exchange

  func sendContinue(for exchange: HTTPExchange) {
    // Nobody waits for long: RFC 9110, 10.1.1 has clients send the body anyway, and the window is open.
  }

  func bodyWanted(of exchange: HTTPExchange) {}

  func bodyTaken(_ count: Int, of exchange: HTTPExchange) { consume(count) }

  private func consume(_ count: Int) { stream?.consume(count) }

  func bodyClockChanged(of exchange: HTTPExchange) {
    guard !isFresh else { return }
    guard stream != nil, exchange.response != .ended, let end = exchange.bodyDeadline(now: eventLoop.now)
    else {
      return deadline.disarm()
    }
    let transport = NIOLoopBound(self, eventLoop: eventLoop)
    deadline.arm(until: end, on: eventLoop) { transport.value.bodyTimedOut() }
  }

  private func bodyTimedOut() {
    guard let exchange, exchange.response == .none, !exchange.isRequestComplete else { return }
    exchange.failBody(.bodyTimeout, BodyTimeout())
  }

  func send(_ response: HTTPResponse, contentLength: Int?, of exchange: HTTPExchange) {
    deadline.cancel()
    guard let stream else { return }
    let hasBody = response.body.readableBytes > 0
    stream.respond(block(response.head, contentLength: contentLength, of: exchange), endStream: !hasBody)
    guard hasBody else { return }
    stream.write(.none, response.body)
    stream.finish(trailers: nil)
  }

  func sendHead(_ head: HTTPResponseHead, of exchange: HTTPExchange) {
    stream?.respond(block(head, contentLength: nil, of: exchange), endStream: !exchange.sendsBody)
  }

  func sendPiece(_ piece: ByteBuffer, of exchange: HTTPExchange) -> Bool {
    guard let stream, stream.write(.none, piece) else { return false }
    return stream.queuedBytes <= Self.highWaterBytes
  }

  func sendEnd(of exchange: HTTPExchange) {
    deadline.cancel()
    if exchange.sendsBody { stream?.finish(trailers: nil) }
  }

  func abort(_ exchange: HTTPExchange) { stream?.reset(.internalError) }

  func taskBegan() { connection.taskBegan() }
  func taskEnded() { connection.taskEnded() }

  private func block(
    _ head: HTTPResponseHead, contentLength: Int?, of exchange: HTTPExchange
  ) -> HeaderBlock {
    HeaderBlock(
      head, contentLength: contentLength, requestID: exchange.reception.requestID,
      isSecure: connection.isSecure,
      date: core.date)
  }
}
