import HTTP2
import NIOCore

/// What an attempt at a call has received so far, and what follows from the next event.
struct ClientAttemptState {
  enum Action: Equatable {
    case none
    /// The response headers are here, and the end is not.
    case headers
    /// There are messages, or the end, for a reader.
    case wakeReader
    /// The attempt is over; `reset` when the server does not know yet.
    case finish(reset: Bool)
  }

  /// How far the request may have got. Unless a handler can have seen it, it may be sent again whatever it asks for
  /// (gRFC A6, "Transparent Retries").
  enum Reach {
    /// It never left us.
    case client
    /// The server did not look at it (RFC 9113, 8.7).
    case server
    case handler
  }

  private let isUnary: Bool
  private let maxHeaderListBytes: Int
  private var block: ResponseHead
  private var messages: InboundMessages
  private(set) var hasHeaders = false
  private(set) var initialMetadata = Metadata()
  private(set) var trailingMetadata = Metadata()
  private(set) var isFinished = false
  private(set) var error: RPCError?
  private(set) var reach = Reach.handler
  private(set) var pushback: Pushback?

  /// - Parameter isUnary: the call has one response message, which is taken when it has ended.
  init(maxMessageBytes: Int, maxHeaderListBytes: Int = 8 << 10, isUnary: Bool = false) {
    self.isUnary = isUnary
    self.maxHeaderListBytes = maxHeaderListBytes
    block = ResponseHead(maxBytes: maxHeaderListBytes)
    messages = InboundMessages(maxMessageBytes: maxMessageBytes)
  }

  mutating func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    if !isFinished { block.receive(name: name, value: value) }
  }

  mutating func headersEnded() -> Action {
    // Without `:status` these are trailers; they count when END_STREAM comes, which it must at once.
    guard !isFinished, let httpStatus = block.httpStatus else { return .none }
    if (100..<200).contains(httpStatus) {
      block = ResponseHead(maxBytes: maxHeaderListBytes)
      return .none
    }
    if let refusal = block.refusal { return finish(refusal, reset: true) }
    // Headers and trailers in one say nothing that would not come with the end.
    if block.hasStatus { return .none }
    hasHeaders = true
    messages.encoding = block.encoding
    initialMetadata = block.metadata
    block = ResponseHead(maxBytes: maxHeaderListBytes)
    return .headers
  }

  mutating func received(_ data: UnsafeRawBufferPointer) -> Action {
    guard !isFinished else { return .none }
    do {
      try messages.receive(data)
      // Nobody would take what comes behind the message, nor would its window be given back.
      if isUnary, messages.hasMoreThanOne { return finish(.tooManyMessages, reset: true) }
      return messages.isEmpty ? .none : .wakeReader
    } catch {
      return finish(error, reset: true)
    }
  }

  mutating func inboundEnded() -> Action {
    guard !isFinished else { return .none }
    trailingMetadata = block.metadata
    pushback = block.pushback
    if block.error == nil, !messages.isAtBoundary {
      return finish(RPCError(.internal, "the response ends in the middle of a message"), reset: false)
    }
    return finish(block.error, reset: false)
  }

  /// The stream was reset or its connection lost, for `reason` if one is known.
  ///
  /// - Parameter wasSent: whether any of the request has left us.
  mutating func closed(_ code: HTTP2ErrorCode, wasSent: Bool = true, reason: String?) -> Action {
    if !hasHeaders, code == .refusedStream || code == .connectError && !wasSent {
      reach = wasSent ? .server : .client
    }
    let status: StatusCode =
      switch code {
      case .refusedStream, .connectError: .unavailable
      case .cancel: .cancelled
      case .enhanceYourCalm: .resourceExhausted
      case .inadequateSecurity: .permissionDenied
      default: .internal
      }
    let message =
      code == .connectError ? "connection lost" : "the call was reset with \(code)"
    // The reason may name addresses. These two statuses are about our side and not passed on as they are; the others
    // may reach somebody outside.
    guard status == .unavailable || status == .internal, let reason else {
      return finish(RPCError(status, message), reset: false)
    }
    return finish(RPCError(status, "\(message): \(reason)"), reset: false)
  }

  /// Ends the call from this side.
  mutating func finish(_ error: RPCError?, reset: Bool) -> Action {
    guard !isFinished else { return .none }
    isFinished = true
    self.error = error
    return .finish(reset: reset)
  }

  /// The next message for the reader: those that arrived before an error come before it.
  mutating func next() throws(RPCError) -> NextMessage {
    do {
      if let message = try messages.take() { return .message(message) }
    } catch {
      // What follows a message that is lost must not be taken for it.
      messages.removeAll()
      throw error
    }
    guard isFinished else { return .wait }
    if let error { throw error }
    return .end
  }

  /// Whether the message taken last came compressed.
  var tookCompressed: Bool { messages.tookCompressed }

  /// The only message of a finished call.
  mutating func single() throws(RPCError) -> ByteBuffer {
    if let error { throw error }
    guard let message = try messages.take() else {
      throw RPCError(.unimplemented, "the call succeeded without its response message")
    }
    return message
  }

  mutating func takeReturnable() -> Int { messages.takeReturnable() }
}

extension RPCError {
  fileprivate static let tooManyMessages = RPCError(
    .unimplemented, "the call has one response message and got more")
}
