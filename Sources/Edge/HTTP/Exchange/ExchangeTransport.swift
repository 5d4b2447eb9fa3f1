import NIOCore

/// What carries an exchange: a connection of HTTP/1.1, or a stream of HTTP/2. It knows frames, windows and clocks; what is
/// asked and answered is the exchange's. Used on its loop.
protocol ExchangeTransport: AnyObject {
  var eventLoop: any EventLoop { get }

  // MARK: The request's body

  /// The client waits for a word before it sends the body.
  func sendContinue(for exchange: HTTPExchange)
  /// The reader of a streamed body waits for more of it.
  func bodyWanted(of exchange: HTTPExchange)
  /// So many bytes that were handed on have found their reader, or do not matter any more.
  func bodyTaken(_ count: Int, of exchange: HTTPExchange)
  /// What the client is given time for has changed: to be asked of `isRequestComplete` and `isBodyAwaited`.
  func bodyClockChanged(of exchange: HTTPExchange)

  // MARK: The answer

  /// Sends a whole answer, the last thing that is sent for the exchange.
  ///
  /// - Parameter contentLength: of the body, which is not there when the request was HEAD; nil for a status without one.
  func send(_ response: HTTPResponse, contentLength: Int?, of exchange: HTTPExchange)
  /// Begins an answer whose length is not known.
  func sendHead(_ head: HTTPResponseHead, of exchange: HTTPExchange)
  /// False when the client is to take some of it first: then `HTTPExchange.becameWritable` says when it has.
  func sendPiece(_ piece: ByteBuffer, of exchange: HTTPExchange) -> Bool
  func sendEnd(of exchange: HTTPExchange)
  /// Breaks off an answer that has begun, so that the client knows it has not all of it.
  func abort(_ exchange: HTTPExchange)

  // MARK: What it costs

  /// A task of the application runs for the exchange, which may go on for a while after the client has left.
  func taskBegan()
  func taskEnded()
}
