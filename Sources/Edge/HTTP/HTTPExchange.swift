import NIOCore
import NIOHTTP1

/// What the application makes of a request once it has seen the head. It is asked on the loop and answers at
/// once; what takes longer happens in the closures, which run as one task on the same loop.
struct Reception: Sendable {
  enum Plan: Sendable {
    /// Answered already: the body, if any, does not matter.
    case answered(HTTPResponse)
    /// Answered when the whole body is here.
    case collected(maxBytes: Int, @Sendable (ByteBuffer, HTTPResponder) async -> Void)
    /// Answered while the body comes in.
    case streamed(maxBytes: Int, @Sendable (HTTPRequestBody, HTTPResponder) async -> Void)
  }

  var plan: Plan
  var requestID: String
  /// For the access log; not the path itself, whose variables would make every line its own.
  var route: String?
  var tenant: String?
  var metrics: RouteMetrics?
  var trace: RequestTrace?
}

/// One request and its answer. Belongs to its connection's loop.
final class HTTPExchange {
  let head: HTTPRequestHead
  let reception: Reception
  let start: NIODeadline
  let hasBody: Bool
  var keepsAlive: Bool

  enum Progress { case none, begun, ended }
  var response = Progress.none
  var isRequestComplete = false
  var framing = BodyFraming.none
  var status = 0
  var bytesIn = 0
  var bytesOut = 0
  var task: Task<Void, Never>?

  /// What has been collected, or waits for the reader of a streamed body.
  var pending = ByteBuffer()
  var bodyFailure: (any Error)?
  var bodyWaiter: CheckedContinuation<ByteBuffer?, any Error>?
  var writeWaiter: CheckedContinuation<Void, any Error>?

  init(head: HTTPRequestHead, reception: Reception, start: NIODeadline) {
    self.head = head
    self.reception = reception
    self.start = start
    // The decoder takes what follows an upgrade or a tunnel for another protocol. Neither happens here, so the
    // connection ends with the answer.
    keepsAlive = head.isKeepAlive && head.method != .CONNECT && !head.headers.contains(name: "upgrade")
    hasBody =
      head.headers.contains(name: "transfer-encoding")
      || head.headers.first(name: "content-length").map { $0 != "0" } ?? false
  }

  var maxBodyBytes: Int {
    switch reception.plan {
    case .answered: 64 << 10
    case .collected(let maxBytes, _), .streamed(let maxBytes, _): maxBytes
    }
  }

  var isStreamed: Bool {
    if case .streamed = reception.plan { true } else { false }
  }
}

/// The client went away before it had its answer.
struct ClientDisconnected: Error {}

/// A body larger than its route allows.
struct BodyTooLarge: Error {
  var maxBytes: Int
}

/// The client took too long to send its body.
struct BodyTimeout: Error {}

/// A streamed request body.
struct HTTPRequestBody: Sendable {
  fileprivate let connection: NIOLoopBound<HTTPConnection>
  fileprivate let exchange: NIOLoopBound<HTTPExchange>

  /// The next piece, nil after the last. Only while someone waits here, or little is buffered, is the socket read.
  func next() async throws -> ByteBuffer? {
    try await withTaskCancellationHandler {
      try await suspendOnLoop(connection) { continuation in
        connection.value.awaitBody(of: exchange.value, continuation)
      }
    } onCancel: {
      connection.eventLoop.execute { [exchange] in
        exchange.value.bodyWaiter.take()?.resume(throwing: CancellationError())
      }
    }
  }
}

/// Where an answer goes. After the first `start` or `respond` its status cannot change.
struct HTTPResponder: Sendable {
  private let connection: NIOLoopBound<HTTPConnection>
  private let exchange: NIOLoopBound<HTTPExchange>

  init(_ connection: HTTPConnection, _ exchange: HTTPExchange, on eventLoop: any EventLoop) {
    self.connection = NIOLoopBound(connection, eventLoop: eventLoop)
    self.exchange = NIOLoopBound(exchange, eventLoop: eventLoop)
  }

  var body: HTTPRequestBody { HTTPRequestBody(connection: connection, exchange: exchange) }

  func respond(_ response: HTTPResponse) async {
    await onLoop { $0.respond(response, to: $1) }
  }

  func start(_ head: HTTPResponseHead) async {
    await onLoop { $0.start(head, of: $1) }
  }

  /// Returns when the send buffer has room again; throws when the client is gone.
  func write(_ chunk: ByteBuffer) async throws {
    try await withTaskCancellationHandler {
      try await suspendOnLoop(connection) { continuation in
        connection.value.write(chunk, of: exchange.value, continuation)
      }
    } onCancel: {
      connection.eventLoop.execute { [exchange] in
        exchange.value.writeWaiter.take()?.resume(throwing: CancellationError())
      }
    }
  }

  func end() async {
    await onLoop { $0.end($1) }
  }

  /// Answers with this instead if nothing has been sent; else gives up, and the client sees the connection end
  /// before the body does.
  func fail(_ response: HTTPResponse) async {
    await onLoop { $0.fail($1, response) }
  }

  private func onLoop(_ body: @escaping @Sendable (HTTPConnection, HTTPExchange) -> Void) async {
    let (connection, exchange) = (connection, exchange)
    if connection.eventLoop.inEventLoop { return body(connection.value, exchange.value) }
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      connection.eventLoop.execute {
        body(connection.value, exchange.value)
        continuation.resume()
      }
    }
  }
}

/// Suspends until the connection, on its loop, resumes. Tasks of an exchange run on that loop anyway, so this
/// hops only when an application has left it.
private func suspendOnLoop<Value: Sendable>(
  _ connection: NIOLoopBound<HTTPConnection>,
  _ body: @escaping @Sendable (CheckedContinuation<Value, any Error>) -> Void
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    if connection.eventLoop.inEventLoop {
      body(continuation)
    } else {
      connection.eventLoop.execute { body(continuation) }
    }
  }
}
