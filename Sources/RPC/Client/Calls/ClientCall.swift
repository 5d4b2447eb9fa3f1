import HTTP2
import NIOCore

/// A call being made, as the task that waits for it sees it: makes attempts until one of them is the answer.
///
/// Lives on its channel's event loop; only `unary`, `open`, `cancel` and what `CallSide` provides come from anywhere.
final class ClientCall: CallSide, @unchecked Sendable {
  let channel: LoopChannel
  let settings: CallSettings
  let method: ClientMethod
  let metadata: Metadata
  let deadline: NIODeadline?
  let readiness: CallPolicy.Readiness
  let maxResponseBytes: Int
  let encoding: MessageEncoding
  private let maxRequestBytes: Int

  // On the loop only:
  private(set) var isUnary = false
  var isFinished = false
  private(set) var isWritingFinished = false
  private(set) var error: RPCError?

  var plan: AttemptPlan
  /// The one attempt that counts, once the call is committed to it or has ended; until then the last that began.
  var attempt: ClientAttempt?
  /// Further attempts under way.
  var others: [ClientAttempt] = []
  /// Where attempts that have failed, or do not answer, have been.
  var avoided: [ObjectIdentifier] = []
  /// When the next attempt begins. The channel knows of a call that has one.
  var next: Scheduled<Void>?
  /// When the call stops waiting for a connection.
  var patience: Scheduled<Void>?
  var replay = ReplayBuffer()
  /// Why the last attempt failed, for a call whose next one does not get as far.
  var lastFailure: RPCError?

  private var answer: UnsafeContinuation<ClientResponse<ByteBuffer>, any Error>?
  var opening = Waiters<Void>()
  var headers = Waiters<Metadata>()
  var reader = Waiters<ByteBuffer?>()
  var writers = Waiters<Void>()

  var eventLoop: any EventLoop { channel.eventLoop }

  init(
    _ channel: LoopChannel, _ settings: CallSettings, _ method: ClientMethod, _ options: CallOptions
  ) {
    let policy = options.policy.over(method.policy)
    self.channel = channel
    self.settings = settings
    self.method = method
    metadata = options.metadata
    readiness = policy.readiness ?? .failFast
    maxRequestBytes = policy.maxRequestBytes ?? .max
    maxResponseBytes = policy.maxResponseBytes ?? channel.configuration.maxMessageBytes
    encoding = policy.compression ?? channel.configuration.compression
    plan = AttemptPlan(policy.attempts ?? .once)
    // Whoever asks for the time pays for it.
    let timeLimit = policy.timeout.map { .now() + TimeAmount($0) }
    deadline = options.deadline.map { min($0, timeLimit ?? $0) } ?? timeLimit
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
    do {
      try check(request)
    } catch {
      return continuation.resume(throwing: error)
    }
    replay = ReplayBuffer(only: request)
    isWritingFinished = true
    isUnary = true
    answer = continuation
    begin()
  }

  /// Begins a streaming call; returns when it has a stream.
  func open() async throws {
    try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
      onLoop {
        if let error = self.error { return continuation.resume(throwing: error) }
        self.opening.add(continuation)
        self.begin()
      }
    }
  }

  func finishWriting() {
    onLoop {
      self.isWritingFinished = true
      self.forEachAttempt { $0.finishWriting() }
    }
  }

  func cancel() {
    onLoop { self.end(with: .cancelledByCaller) }
  }

  func takeMessage() throws -> NextMessage {
    if plan.isCommitted, let attempt { return try attempt.takeMessage() }
    if let error { throw error }
    return isFinished ? .end : .wait
  }

  func prepare(_ message: ByteBuffer, compressed: Bool) -> WireMessage {
    compressed && encoding == .gzip ? WireMessage(compressing: message) : WireMessage(bytes: message)
  }

  func queueMessage(_ message: WireMessage) throws -> Bool {
    try check(message)
    guard !isFinished else { throw RPCError.endedByServer }
    forEachAttempt { $0.write(message) }
    if !plan.isCommitted { keep(message) }
    guard isOpen else { return replay.count < channel.configuration.maxOutboundBytes }
    return hasRoom
  }

  private func check(_ message: WireMessage) throws(RPCError) {
    if let error { throw error }
    guard message.bytes.readableBytes <= maxRequestBytes else {
      throw RPCError(
        .resourceExhausted,
        "the request is \(message.bytes.readableBytes) bytes, over the limit of \(maxRequestBytes)")
    }
  }

  // MARK: The end

  /// Ends the call from this side.
  func end(with error: RPCError) {
    guard !isFinished else { return }
    isFinished = true
    // All of them, and first of all: a server that has let the deadline pass is to be known as one that does, whichever
    // attempt it kept waiting.
    let (attempt, others) = (attempt, others)
    attempt?.cancel(with: error)
    for other in others { other.cancel(with: error) }
    finish(error)
  }

  /// The deadline has passed. What kept the call from ending before is told with it.
  func expire(because reason: RPCError?) {
    // What keeps a call from being made is its error, as it would be had the call not waited.
    if reason != nil, !isOpen, var failure = channel.connectionFailure {
      failure.message += "; the deadline passed while the call waited for a connection"
      return end(with: failure)
    }
    var error = RPCError.deadlinePassed
    if let reason = reason ?? lastFailure { error.message += "; before it did: \(reason.message)" }
    end(with: error)
  }

  /// The call ends as `attempt` has, or without one.
  func finish(_ error: RPCError?) {
    isFinished = true
    self.error = error
    release()
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
        // A call with more to send than is kept is committed before it is answered.
        if self.plan.isCommitted, let attempt = self.attempt, attempt.state.hasHeaders {
          continuation.resume(returning: attempt.state.initialMetadata)
        } else if let error = self.error {
          continuation.resume(throwing: error)
        } else if self.isFinished {
          continuation.resume(returning: [:])
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
      onLoop {
        continuation.resume(returning: self.isFinished ? self.attempt?.state.trailingMetadata ?? [:] : [:])
      }
    }
  }
}

extension RPCError {
  static let cancelledByCaller = RPCError(.cancelled, "the call was cancelled by its caller")
  static let endedByServer = RPCError(.cancelled, "the server has ended the call")
}
