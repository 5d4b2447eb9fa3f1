import NIOCore
import NIOHTTP1
import RPC

/// The client went away before it had its answer.
struct ClientDisconnected: Error {}

/// A body larger than its route allows.
struct BodyTooLarge: Error {
  var maxBytes: Int
}

/// The client took too long to send its body.
struct BodyTimeout: Error {}

/// zlib has no memory left.
struct CompressionFailed: Error {}

/// There was no room left for the body.
struct BodyNotHeld: Error {}

/// A streamed request body.
struct HTTPRequestBody: Sendable {
  fileprivate let exchange: NIOLoopBound<HTTPExchange>

  /// The next piece, nil after the last. Only while someone waits here, or little is buffered, is the client read from.
  func next() async throws -> ByteBuffer? {
    try await withTaskCancellationHandler {
      try await suspendOnLoop(exchange) { $0.awaitBody($1) }
    } onCancel: {
      exchange.eventLoop.execute { [exchange] in exchange.value.cancelBodyWait() }
    }
  }
}

/// Where an answer goes. After the first `start` or `respond` its status cannot change.
struct HTTPResponder: Sendable {
  private let exchange: NIOLoopBound<HTTPExchange>
  /// What the client said it would like.
  private let preferences: Preferences
  private let compressors: Compressors
  private let stream: StreamCompressor

  init(_ exchange: HTTPExchange, on eventLoop: any EventLoop) {
    self.exchange = NIOLoopBound(exchange, eventLoop: eventLoop)
    preferences = Preferences(exchange.head)
    compressors = exchange.core.compressors
    stream = StreamCompressor(compressors)
  }

  var body: HTTPRequestBody { HTTPRequestBody(exchange: exchange) }

  /// Answers, in the form the client prefers: compressed, or not at all when it has it already.
  func respond(_ response: HTTPResponse) async {
    let response = await preferences.fulfilled(response, compressors)
    await onLoop { $0.respond(response) }
  }

  /// Begins an answer that is sent as it comes.
  func start(_ head: HTTPResponseHead) async {
    var head = head
    if preferences.codingOfStream(&head) == .gzip, stream.begin() {
      head.headers.append(("Content-Encoding", "gzip"))
    }
    let begun = head
    await onLoop { $0.start(begun) }
  }

  /// Returns when there is room for more; throws when the client is gone.
  func write(_ piece: ByteBuffer) async throws {
    guard let compressor = stream.compressor else { return try await send(piece) }
    var rest = piece
    while let part = rest.readSlice(length: min(rest.readableBytes, Compressors.pieceBytes)),
      part.readableBytes > 0
    {
      var out = ByteBuffer()
      guard compressor.compress(part, rest.readableBytes == 0 ? .flush : .more, into: &out) else {
        throw CompressionFailed()
      }
      try await send(out)
      if rest.readableBytes > 0 { await Compressors.letOthersGo() }
    }
  }

  private func send(_ piece: ByteBuffer) async throws {
    try await withTaskCancellationHandler {
      try await suspendOnLoop(exchange) { $0.write(piece, $1) }
    } onCancel: {
      exchange.eventLoop.execute { [exchange] in exchange.value.cancelWriteWait() }
    }
  }

  /// - Throws: when the client is gone.
  func end() async throws {
    if let compressor = stream.compressor {
      var out = ByteBuffer()
      guard compressor.compress(ByteBuffer(), .last, into: &out) else { throw CompressionFailed() }
      try await send(out)
    }
    await onLoop { $0.end() }
  }

  /// Answers with this instead if nothing has been sent; else gives up, and the client sees the answer end before it
  /// is complete.
  func fail(_ response: HTTPResponse) async {
    await onLoop { $0.fail(response) }
  }

  private func onLoop(_ body: @escaping @Sendable (HTTPExchange) -> Void) async {
    let exchange = exchange
    if exchange.eventLoop.inEventLoop { return body(exchange.value) }
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      exchange.eventLoop.execute {
        body(exchange.value)
        continuation.resume()
      }
    }
  }
}

/// Suspends until the exchange, on its loop, resumes. Its tasks run on that loop anyway, so this hops only when an
/// application has left it.
private func suspendOnLoop<Value: Sendable>(
  _ exchange: NIOLoopBound<HTTPExchange>,
  _ body: @escaping @Sendable (HTTPExchange, CheckedContinuation<Value, any Error>) -> Void
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    if exchange.eventLoop.inEventLoop {
      body(exchange.value, continuation)
    } else {
      exchange.eventLoop.execute { body(exchange.value, continuation) }
    }
  }
}
