import HTTP2
import NIOCore

/// One attempt at a call: a stream, and what has been received on it. Most calls have one.
///
/// Lives on its channel's event loop.
final class ClientAttempt: HTTP2StreamDelegate {
  /// Until the attempt has ended: they hold each other no longer, and what still happens to the stream is nothing to
  /// the call.
  private var call: ClientCall?
  private(set) var state: ClientAttemptState
  private(set) var stream: HTTP2Stream?
  /// Where the stream is.
  private var subchannel: Subchannel?
  /// Where the stream is or was.
  private(set) var place: ObjectIdentifier?
  /// Attempts the call had made before.
  private let previous: Int

  init(_ call: ClientCall, previous: Int = 0) {
    self.call = call
    self.previous = previous
    state = ClientAttemptState(
      maxMessageBytes: call.maxResponseBytes,
      maxHeaderListBytes: call.channel.configuration.http2.maxHeaderListBytes, isUnary: call.isUnary)
  }

  /// It has a stream.
  var isOpen: Bool { stream != nil && !isFinished }

  // MARK: For the channel

  var isFinished: Bool { state.isFinished }
  var deadline: NIODeadline? { call?.deadline }
  /// It is to be queued while there is no connection, instead of failing.
  var waitForReady: Bool { call.map { $0.readiness != .failFast } ?? false }
  /// Where earlier attempts of the call have been.
  var avoiding: [ObjectIdentifier] { call?.avoided ?? [] }

  func headers(authority: [UInt8]) -> HeaderBlock {
    call?.headers(authority: authority, previousAttempts: previous) ?? HeaderBlock()
  }

  /// The stream is there: sends what there is.
  func opened(_ stream: HTTP2Stream, on subchannel: Subchannel) {
    self.stream = stream
    self.subchannel = subchannel
    place = ObjectIdentifier(subchannel)
    call?.opened(self)
  }

  /// No subchannel takes the attempt. Nothing of it was sent.
  func failed(_ error: RPCError) {
    perform(state.finish(error, reset: true))
  }

  /// The deadline has passed, of an attempt that may have had no connection for this reason.
  func expire(unconnected reason: RPCError?) {
    call?.expire(because: stream == nil ? reason : nil)
  }

  // MARK: For the call

  func write(_ message: WireMessage) {
    if !state.isFinished { stream?.write(message.prefix, message.bytes) }
  }

  func finishWriting() {
    stream?.finish(trailers: nil)
  }

  /// Whether the stream takes more without much being queued.
  var hasRoom: Bool {
    guard let stream, let call else { return false }
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
    if stream == nil { call?.channel.leaveQueue(self) }
    call = nil
    subchannel?.record(error.code)
    stream?.reset(.cancel)
  }

  /// A server keeps the deadline by a clock of its own, in units that may be coarse, and may say so with no more than
  /// a reset: one that comes so soon before the deadline is taken for that.
  private static let deadlineTolerance = TimeAmount.milliseconds(10)

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
    if hasRoom { call?.roomMade() }
  }

  func closed(_ code: HTTP2ErrorCode) {
    let wasSent = stream?.wasSent ?? false
    let reason = stream?.connection?.closeReason
    let subchannel = subchannel
    stream = nil
    // What a lost connection or a refused stream tells of the server, its subchannel knows already: only what it
    // answers is counted, a reset among it, and what it does not.
    if code == .connectError || code == .refusedStream { self.subchannel = nil }
    if code == .cancel, let deadline, deadline - .now() < Self.deadlineTolerance {
      perform(state.finish(.deadlinePassed, reset: false))
    } else {
      perform(state.closed(code, wasSent: wasSent, reason: reason))
    }
    self.subchannel = nil
    subchannel?.streamClosed()
  }

  private func perform(_ action: ClientAttemptState.Action) {
    switch action {
    case .none: break
    case .headers: call?.headersReceived(self)
    case .wakeReader: call?.messagesReceived()
    case .finish(let reset):
      let call = call
      self.call = nil
      subchannel?.answered(state.error?.code ?? .ok)
      if reset {
        stream?.reset(.cancel)
      } else if call?.isWritingFinished == false || stream.map({ $0.queuedBytes > 0 }) == true {
        // The server has answered without waiting for the rest of the request: nobody will read it, and there may never
        // be window for it.
        stream?.reset(.noError)
      }
      call?.ended(self)
    }
  }
}
