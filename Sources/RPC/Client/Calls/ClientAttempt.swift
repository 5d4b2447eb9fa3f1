import HTTP2
import NIOCore

/// One attempt at a call: a stream, and what has been received on it. Most calls have one.
///
/// Lives on its channel's event loop. Until it has ended its call has not ended either, and is held by the task
/// that waits for it; afterwards the call is left alone.
final class ClientAttempt: HTTP2StreamDelegate {
  private unowned let call: ClientCall
  private(set) var state: ClientAttemptState
  private(set) var stream: HTTP2Stream?
  /// Where the stream is.
  private(set) var subchannel: Subchannel?

  init(_ call: ClientCall) {
    self.call = call
    state = ClientAttemptState(maxMessageBytes: call.channel.configuration.maxMessageBytes)
  }

  // MARK: For the channel

  var isFinished: Bool { state.isFinished }
  var deadline: NIODeadline? { call.deadline }
  /// Whether it waits when no server can be reached instead of failing.
  var waitForReady: Bool { false }
  /// Subchannels the call has failed on before.
  var avoiding: [ObjectIdentifier] { [] }

  func headers(authority: [UInt8]) -> HeaderBlock {
    var block = HeaderBlock.requestStart(isSecure: call.channel.configuration.tls != nil)
    block.add(":path", call.path.utf8)
    block.add(":authority", authority)
    block.add("te", "trailers")
    block.add("content-type", "application/grpc")
    block.add("grpc-accept-encoding", "identity,gzip")
    if call.encoding == .gzip { block.add("grpc-encoding", "gzip") }
    if let deadline = call.deadline {
      block.add("grpc-timeout", TimeoutHeader.format(deadline - .now()).utf8)
    }
    block.add(call.metadata)
    return block
  }

  /// The stream is there: sends what there is.
  func opened(_ stream: HTTP2Stream, on subchannel: Subchannel) {
    self.stream = stream
    self.subchannel = subchannel
    call.opened(self)
  }

  /// No subchannel takes the attempt. Nothing of it was `sent`.
  func failed(_ error: RPCError, sent: Bool) {
    perform(state.finish(error, reset: true))
  }

  /// The deadline has passed.
  func expire() {
    call.end(with: .deadlinePassed)
  }

  // MARK: For the call

  func write(_ message: WireMessage) {
    stream?.write(message.prefix, message.bytes)
  }

  func finishWriting() {
    stream?.finish(trailers: nil)
  }

  /// Whether the stream takes more without much being queued.
  var hasRoom: Bool {
    guard let stream else { return false }
    return stream.queuedBytes < call.channel.configuration.maxOutboundBytes
  }

  func takeMessage() throws(RPCError) -> NextMessage {
    do {
      let next = try state.next()
      stream?.consume(state.takeReturnable())
      return next
    } catch {
      // The message is damaged, unless the attempt had failed before.
      perform(state.finish(error, reset: true))
      throw error
    }
  }

  /// The only message of a unary call that has ended.
  func takeAnswer() throws(RPCError) -> ByteBuffer {
    let message = try state.single()
    stream?.consume(state.takeReturnable())
    return message
  }

  /// Ends the attempt from this side, before or after it has a stream. The call is not told: it knows.
  func cancel(with error: RPCError) {
    guard case .finish = state.finish(error, reset: true) else { return }
    subchannel?.record(error.code)
    stream?.reset(.cancel)
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
    if !state.isFinished, hasRoom { call.hasRoom() }
  }

  func closed(_ code: HTTP2ErrorCode) {
    let reason = stream?.connection?.closeReason
    let subchannel = subchannel
    stream = nil
    // What a lost connection or a refused stream tells of the server, its subchannel knows already: only what it
    // answers is counted, and what it does not.
    self.subchannel = nil
    perform(state.closed(code, reason: reason))
    subchannel?.streamClosed()
  }

  private func perform(_ action: ClientAttemptState.Action) {
    switch action {
    case .none: break
    case .headers: call.headersReceived()
    case .wakeReader: call.messagesReceived()
    case .finish(let reset):
      subchannel?.record(state.error?.code ?? .ok)
      if reset {
        stream?.reset(.cancel)
      } else if !call.isWritingFinished {
        // The server has answered without waiting for the rest of the request: nobody will read it.
        stream?.reset(.noError)
      }
      call.ended(self)
    }
  }
}

extension HeaderBlock {
  private static let plainStart: HeaderBlock = [":method": "POST", ":scheme": "http"]
  private static let secureStart: HeaderBlock = [":method": "POST", ":scheme": "https"]

  static func requestStart(isSecure: Bool) -> HeaderBlock { isSecure ? secureStart : plainStart }
}
