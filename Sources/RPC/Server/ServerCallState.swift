import NIOCore

/// What a call on the server has received and sent so far, and what follows from the next event.
///
/// ```
/// head ──▶ message (if it takes one: until END_STREAM) ──▶ running ──▶ finished
///   └────────────── streaming ─────────────────────▲            ▲
///   └────────────── refused, failed, closed ────────────────────┘
/// ```
struct ServerCallState {
  enum Action: Equatable {
    case none
    /// Run the handler.
    case start
    case refuse(RequestHead.Refusal)
    /// The running handler's reader has something to take.
    case wakeReader
    /// The request is broken: end the call with this, whatever its handler does.
    case fail(RPCError)
  }

  private enum Phase { case head, message, running, finished }

  private var phase = Phase.head
  private(set) var head: RequestHead
  private var messages: InboundMessages
  private var takenBytes = 0
  private var headBytes = 0
  private var isHandlerRunning = false
  private var isClosed = false
  private var isInboundEnded = false
  private(set) var hasSentHeaders = false

  init(maxHeaderListBytes: Int) {
    head = RequestHead(maxBytes: maxHeaderListBytes)
    // Until the method is known, and with it how much it takes.
    messages = InboundMessages(maxMessageBytes: 0)
  }

  var isFinished: Bool { phase == .finished }
  /// The one message the handler needs is not here, or not all of it.
  var isArriving: Bool { phase == .message }

  mutating func received(
    name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, methods: @autoclosure () -> MethodTable
  ) {
    // Request trailers mean nothing in gRPC.
    guard phase == .head else { return }
    head.receive(name: name, value: value, methods: methods())
  }

  mutating func headersEnded() -> Action {
    guard phase == .head else { return .none }
    if let refusal = head.refusal { return .refuse(refusal) }
    headBytes = head.bytes
    if let limits = head.method?.limits {
      messages = InboundMessages(maxMessageBytes: limits.maxRequestBytes)
    }
    messages.encoding = head.encoding
    // A handler that could only wait for its one message does not run until it is here.
    if head.method?.definition.takesOneMessage == true {
      phase = .message
      return .none
    }
    phase = .running
    return .start
  }

  mutating func received(_ data: UnsafeRawBufferPointer) -> Action {
    guard phase == .message || phase == .running else { return .none }
    do {
      try messages.receive(data)
    } catch {
      return .fail(error)
    }
    if phase == .message { return messages.count > 1 ? .fail(.extraMessage) : .none }
    return messages.isEmpty ? .none : .wakeReader
  }

  mutating func inboundEnded() -> Action {
    isInboundEnded = true
    guard phase == .message || phase == .running else { return .none }
    guard messages.isAtBoundary else {
      return .fail(RPCError(.internal, "the request ends in the middle of a message"))
    }
    if phase == .running { return .wakeReader }
    guard !messages.isEmpty else { return .fail(.missingMessage) }
    phase = .running
    return .start
  }

  /// The next message for the handler.
  mutating func next() throws(RPCError) -> NextMessage {
    if let message = try messages.take() {
      takenBytes = message.readableBytes
      return .message(message)
    }
    return isInboundEnded || phase == .finished ? .end : .wait
  }

  /// Whether the one message that has come is compressed.
  var hasCompressedMessage: Bool { messages.isFirstCompressed }
  /// Whether the message taken last came compressed.
  var tookCompressed: Bool { messages.tookCompressed }

  /// Request bytes held: the headers, the messages that wait for the handler, and the one it took last. That may be
  /// much longer than what came, and the handler has it even if the call has ended.
  var bufferedBytes: Int { headBytes + messages.bufferedBytes + takenBytes }

  mutating func handlerBegan() { isHandlerRunning = true }

  /// The handler has returned.
  mutating func handlerEnded() {
    isHandlerRunning = false
    takenBytes = 0
    if isClosed { headBytes = 0 }
  }

  /// The stream is gone, and with it the call, but for a handler that still runs.
  mutating func streamClosed() {
    isClosed = true
    if !isHandlerRunning { headBytes = 0 }
  }

  /// Bytes to give back to the stream's window.
  mutating func takeReturnable() -> Int { messages.takeReturnable() }

  /// True the first time: the headers go out before the first message or with the status.
  mutating func sendHeaders() -> Bool {
    defer { hasSentHeaders = true }
    return !hasSentHeaders
  }

  /// True the first time: a call ends once, by its handler, its deadline, its client or its connection. What has not
  /// been taken goes with it, however long the handler stays.
  mutating func finish() -> Bool {
    guard phase != .finished else { return false }
    phase = .finished
    if messages.bufferedBytes > 0 { messages.removeAll() }
    return true
  }
}
