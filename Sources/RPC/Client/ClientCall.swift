import HTTP2
import NIOCore

/// A call being made: carries out what `ClientCallState` decides, on a stream, for the task that waits.
///
/// Lives on its channel's event loop; only `cancel`, `start` and what `CallSide` provides come from anywhere.
final class ClientCall: HTTP2StreamDelegate, CallSide, @unchecked Sendable {
  /// A refused call did not reach the server's application and may be sent again (gRFC A6, "transparent
  /// retries"). Thrice, because a server that always refuses must not be asked for ever.
  private static let maxAttempts = 3

  let channel: LoopChannel
  let path: String
  let metadata: Metadata
  let deadline: NIODeadline?

  private var state: ClientCallState
  private var stream: HTTP2Stream?
  /// Where the stream is.
  private var subchannel: Subchannel?
  private var attempts = 0
  private var isWritingFinished = false
  /// The request of a unary call, kept to be sent again.
  private var request: ByteBuffer?
  private var answer: UnsafeContinuation<ClientResponse<ByteBuffer>, any Error>?
  private var opening = Waiters<Void>()
  private var headers = Waiters<Metadata>()
  var reader = Waiters<ByteBuffer?>()
  var writers = Waiters<Void>()

  var eventLoop: any EventLoop { channel.eventLoop }
  var isFinished: Bool { state.isFinished }

  init(_ channel: LoopChannel, path: String, metadata: Metadata, deadline: NIODeadline?) {
    self.channel = channel
    self.path = path
    self.metadata = metadata
    self.deadline = deadline
    state = ClientCallState(maxMessageBytes: channel.configuration.maxMessageBytes)
  }

  // MARK: From the task

  /// The whole of a unary call.
  func unary(_ request: ByteBuffer) async throws -> ClientResponse<ByteBuffer> {
    try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation {
        (continuation: UnsafeContinuation<ClientResponse<ByteBuffer>, any Error>) in
        onLoop {
          guard !self.isFinished else { return continuation.resume(throwing: RPCError.cancelledByCaller) }
          self.request = request
          self.answer = continuation
          self.channel.submit(self)
        }
      }
    } onCancel: {
      cancel()
    }
  }

  /// Begins a streaming call; returns when it has a stream.
  func open() async throws {
    try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
      onLoop {
        guard !self.isFinished else { return continuation.resume(throwing: RPCError.cancelledByCaller) }
        self.opening.add(continuation)
        self.channel.submit(self)
      }
    }
  }

  func finishWriting() {
    onLoop {
      self.isWritingFinished = true
      self.stream?.finish(trailers: nil)
    }
  }

  func cancel() {
    onLoop { self.end(with: .cancelledByCaller) }
  }

  func takeMessage() throws -> NextMessage {
    let next = try state.next()
    stream?.consume(state.takeReturnable())
    return next
  }

  func queueMessage(_ message: ByteBuffer) throws -> Bool {
    guard !state.isFinished, let stream else {
      throw state.error ?? RPCError(.cancelled, "the server has ended the call")
    }
    stream.write(.lengthPrefix(flag: 0, length: UInt32(message.readableBytes)), message)
    return stream.queuedBytes < channel.configuration.maxOutboundBytes
  }

  // MARK: From the channel, on the loop

  func headers(authority: [UInt8]) -> HeaderBlock {
    var block = HeaderBlock.requestStart
    block.add(":path", path.utf8)
    block.add(":authority", authority)
    block.add("te", "trailers")
    block.add("content-type", "application/grpc")
    if let deadline {
      block.add("grpc-timeout", TimeoutHeader.format(deadline - .now()).utf8)
    }
    block.add(metadata)
    return block
  }

  /// The stream is there: sends what there is.
  func opened(_ stream: HTTP2Stream, on subchannel: Subchannel) {
    self.stream = stream
    self.subchannel = subchannel
    attempts += 1
    if let request {
      stream.write(.lengthPrefix(flag: 0, length: UInt32(request.readableBytes)), request)
      finishWriting()
    }
    opening.resume(returning: ())
  }

  /// No subchannel takes the call. Nothing of it was `sent`.
  func failed(_ error: RPCError, sent: Bool) {
    end(with: error)
  }

  /// Ends the call from this side, before or after it has a stream.
  func end(with error: RPCError) {
    perform(state.finish(error, reset: true))
  }

  // MARK: From the stream

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    state.received(name: name, value: value)
  }

  func headersEnded(trailing: Bool) {
    perform(state.headersEnded())
  }

  func received(data: UnsafeRawBufferPointer) {
    perform(state.received(data))
    stream?.consume(state.takeReturnable())
  }

  func inboundEnded() {
    perform(state.inboundEnded())
  }

  func outboundMoved() {
    guard let stream, stream.queuedBytes < channel.configuration.maxOutboundBytes else { return }
    writers.resume(returning: ())
  }

  func closed(_ code: HTTP2ErrorCode) {
    let reason = stream?.connection?.closeReason
    let subchannel = subchannel
    stream = nil
    self.subchannel = nil
    if code == .refusedStream, request != nil, !state.hasHeaders, !state.isFinished,
      attempts < Self.maxAttempts
    {
      channel.submit(self)
    } else {
      perform(state.closed(code, reason: reason))
    }
    subchannel?.streamClosed()
  }

  private func perform(_ action: ClientCallState.Action) {
    switch action {
    case .none: break
    case .headers: headers.resume(returning: state.initialMetadata)
    case .wakeReader: wakeReader()
    case .finish(let reset):
      if reset { stream?.reset(.cancel) }
      finish()
    }
  }

  private func finish() {
    request = nil
    // The server has answered without waiting for the rest of the request: nobody will read it.
    if !isWritingFinished { stream?.reset(.noError) }
    if let answer {
      self.answer = nil
      do {
        let message = try state.single()
        stream?.consume(state.takeReturnable())
        answer.resume(
          returning: ClientResponse(
            message: message, initialMetadata: state.initialMetadata, trailingMetadata: state.trailingMetadata
          ))
      } catch {
        answer.resume(throwing: error)
      }
    }
    let error = state.error ?? RPCError(.cancelled, "the server has ended the call")
    opening.resume(throwing: error)
    writers.resume(throwing: error)
    if let error = state.error {
      headers.resume(throwing: error)
    } else {
      headers.resume(returning: state.initialMetadata)
    }
    wakeReader()
  }
}

extension ClientCall: ResponseMetadata {
  func initialMetadata() async throws -> Metadata {
    try await withUnsafeThrowingContinuation { continuation in
      onLoop {
        if self.state.hasHeaders {
          continuation.resume(returning: self.state.initialMetadata)
        } else if let error = self.state.error {
          continuation.resume(throwing: error)
        } else {
          self.headers.add(continuation)
        }
      }
    }
  }

  func trailingMetadata() async -> Metadata {
    await withUnsafeContinuation { continuation in
      onLoop { continuation.resume(returning: self.state.trailingMetadata) }
    }
  }
}

extension HeaderBlock {
  static let requestStart: HeaderBlock = [":method": "POST", ":scheme": "http"]
}

extension RPCError {
  static let cancelledByCaller = RPCError(.cancelled, "the call was cancelled by its caller")
}
