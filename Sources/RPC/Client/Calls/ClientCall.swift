import HTTP2
import NIOCore

/// A call being made, as the task that waits for it sees it: makes attempts until one of them is the answer.
///
/// Lives on its channel's event loop; only `cancel`, `unary`, `open` and what `CallSide` provides come from
/// anywhere.
final class ClientCall: CallSide, @unchecked Sendable {
  /// A refused call did not reach the server's application and may be sent again (gRFC A6, "transparent
  /// retries"). Thrice, because a server that always refuses must not be asked for ever.
  private static let maxAttempts = 3

  let channel: LoopChannel
  let path: String
  let metadata: Metadata
  let deadline: NIODeadline?
  let encoding: MessageEncoding

  private(set) var isFinished = false
  private(set) var isWritingFinished = false
  private var error: RPCError?
  private var attempt: ClientAttempt?
  private var attempts = 0
  /// The request of a unary call, kept to be sent again.
  private var request: WireMessage?
  private var answer: UnsafeContinuation<ClientResponse<ByteBuffer>, any Error>?
  private var opening = Waiters<Void>()
  private var headers = Waiters<Metadata>()
  var reader = Waiters<ByteBuffer?>()
  var writers = Waiters<Void>()

  var eventLoop: any EventLoop { channel.eventLoop }

  init(
    _ channel: LoopChannel, path: String, metadata: Metadata, deadline: NIODeadline?,
    encoding: MessageEncoding = .identity
  ) {
    self.channel = channel
    self.path = path
    self.metadata = metadata
    self.deadline = deadline
    self.encoding = encoding
  }

  // MARK: From the task

  /// The whole of a unary call.
  func unary(_ request: ByteBuffer) async throws -> ClientResponse<ByteBuffer> {
    let request = prepare(request, compressed: true)
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        // On the loop, as in a handler, no closure is made for it.
        if eventLoop.inEventLoop {
          begin(request, continuation)
        } else {
          eventLoop.execute { self.begin(request, continuation) }
        }
      }
    } onCancel: {
      cancel()
    }
  }

  private func begin(
    _ request: WireMessage, _ continuation: UnsafeContinuation<ClientResponse<ByteBuffer>, any Error>
  ) {
    guard !isFinished else { return continuation.resume(throwing: RPCError.cancelledByCaller) }
    self.request = request
    isWritingFinished = true
    answer = continuation
    attemptAgain()
  }

  /// Begins a streaming call; returns when it has a stream.
  func open() async throws {
    try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
      onLoop {
        guard !self.isFinished else { return continuation.resume(throwing: RPCError.cancelledByCaller) }
        self.opening.add(continuation)
        self.attemptAgain()
      }
    }
  }

  func finishWriting() {
    onLoop {
      self.isWritingFinished = true
      self.attempt?.finishWriting()
    }
  }

  func cancel() {
    onLoop { self.end(with: .cancelledByCaller) }
  }

  func takeMessage() throws -> NextMessage {
    if let attempt { return try attempt.takeMessage() }
    if let error { throw error }
    return .wait
  }

  func prepare(_ message: ByteBuffer, compressed: Bool) -> WireMessage {
    compressed && encoding == .gzip ? WireMessage(compressing: message) : WireMessage(bytes: message)
  }

  func queueMessage(_ message: WireMessage) throws -> Bool {
    guard !isFinished, let attempt else { throw error ?? .endedByServer }
    attempt.write(message)
    return attempt.hasRoom
  }

  // MARK: From its attempts, on the loop

  private func attemptAgain() {
    let attempt = ClientAttempt(self)
    self.attempt = attempt
    attempts += 1
    channel.submit(attempt)
  }

  func opened(_ attempt: ClientAttempt) {
    if let request { attempt.write(request) }
    if isWritingFinished { attempt.finishWriting() }
    opening.resume(returning: ())
  }

  func headersReceived() {
    headers.resume(returning: attempt?.state.initialMetadata ?? [:])
  }

  func messagesReceived() {
    wakeReader()
  }

  func hasRoom() {
    writers.resume(returning: ())
  }

  func ended(_ attempt: ClientAttempt) {
    guard !isFinished else { return }
    if attempt.state.wasRefused, request != nil, attempts < Self.maxAttempts {
      attemptAgain()
    } else {
      finish(attempt.state.error)
    }
  }

  // MARK: The end

  /// Ends the call from this side.
  func end(with error: RPCError) {
    guard !isFinished else { return }
    attempt?.cancel(with: error)
    finish(error)
  }

  private func finish(_ error: RPCError?) {
    isFinished = true
    self.error = error
    request = nil
    if let answer {
      self.answer = nil
      do {
        answer.resume(returning: try response())
      } catch {
        answer.resume(throwing: error)
      }
    }
    let ending = error ?? .endedByServer
    opening.resume(throwing: ending)
    writers.resume(throwing: ending)
    if let error {
      headers.resume(throwing: error)
    } else {
      headers.resume(returning: attempt?.state.initialMetadata ?? [:])
    }
    wakeReader()
  }

  private func response() throws(RPCError) -> ClientResponse<ByteBuffer> {
    if let error { throw error }
    guard let attempt else { throw .endedByServer }
    return ClientResponse(
      message: try attempt.takeAnswer(), initialMetadata: attempt.state.initialMetadata,
      trailingMetadata: attempt.state.trailingMetadata, isCompressed: attempt.state.tookCompressed)
  }
}

extension ClientCall: ResponseMetadata {
  func initialMetadata() async throws -> Metadata {
    try await withUnsafeThrowingContinuation { continuation in
      onLoop {
        if let state = self.attempt?.state, state.hasHeaders {
          continuation.resume(returning: state.initialMetadata)
        } else if let error = self.error {
          continuation.resume(throwing: error)
        } else {
          self.headers.add(continuation)
        }
      }
    }
  }

  func isMessageCompressed() async -> Bool {
    await withUnsafeContinuation { continuation in
      onLoop { continuation.resume(returning: self.attempt?.state.tookCompressed ?? false) }
    }
  }

  func trailingMetadata() async -> Metadata {
    await withUnsafeContinuation { continuation in
      onLoop { continuation.resume(returning: self.attempt?.state.trailingMetadata ?? [:]) }
    }
  }
}

extension RPCError {
  static let cancelledByCaller = RPCError(.cancelled, "the call was cancelled by its caller")
  fileprivate static let endedByServer = RPCError(.cancelled, "the server has ended the call")
}
