import HTTP2
import NIOCore

/// A call being served: carries out what `ServerCallState` decides, on a stream and with a task.
///
/// Lives on its connection's event loop. Its handler is a task that runs on the same loop, begun without a hop:
/// a handler that never suspends has answered before the bytes that asked are let go.
final class ServerCall: HTTP2StreamDelegate, CallSide, @unchecked Sendable {
  private let connection: ServerConnection
  private let stream: HTTP2Stream
  private var state: ServerCallState
  private var context: CallContext?
  private var task: Task<Void, Never>?
  /// Its handler has a place among the calls that last.
  private var isLasting = false
  private var began = NIODeadline.distantPast
  /// What the loop has counted of the method.
  private var counters: MethodCounters?
  /// What the connection has counted of `ServerCallState.bufferedBytes`.
  private var countedBytes = 0
  var reader = Waiters<ByteBuffer?>()
  var writers = Waiters<Void>()

  var eventLoop: any EventLoop { connection.eventLoop }
  /// When the call is to be ended, unless it has ended by then.
  var pendingDeadline: NIODeadline? {
    if state.isFinished { return nil }
    guard state.isArriving, let timeout = connection.requestTimeout else { return context?.deadline }
    return min(context?.deadline ?? .distantFuture, began + timeout)
  }
  /// Before its handler can run.
  var hasToInflate: Bool { state.hasCompressedMessage }
  var endsAtShutdown: Bool { state.head.method?.definition.endsAtShutdown ?? false }

  init(_ connection: ServerConnection, _ stream: HTTP2Stream) {
    self.connection = connection
    self.stream = stream
    state = ServerCallState(maxHeaderListBytes: connection.server.configuration.http2.maxHeaderListBytes)
  }

  // MARK: From the stream

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    state.received(name: name, value: value, methods: connection.server.methods)
  }

  func headersEnded(trailing: Bool) {
    guard !trailing else { return }
    // The clock of the deadline starts with the headers, however long the message takes to arrive.
    began = .now()
    counters = connection.loop.counters(of: state.head.method)
    counters?.began()
    perform(state.headersEnded())
    guard let method = state.head.method, !state.isFinished else { return }
    let deadline = method.limits.timeout(asked: state.head.timeout).map { began + $0 }
    context = CallContext(
      method: method.path, metadata: state.head.metadata, deadline: deadline, eventLoop: eventLoop,
      peer: connection.peer, peerIdentity: connection.identity,
      maxResponseBytes: method.limits.maxResponseBytes,
      acceptsGzip: state.head.acceptsGzip == true,
      responseEncoding: method.limits.responseCompression.encoding(of: state.head))
    do {
      try countBuffered()
    } catch {
      return end(with: error)
    }
    if let deadline { connection.deadlines.include(deadline) }
    // One timer for all calls of the connection, set already but for the first in a while.
    if state.isArriving, let timeout = connection.requestTimeout {
      connection.deadlines.include(began + timeout)
    }
    guard !connection.isDraining || !endsAtShutdown else { return shutDown() }
    admit(method)
  }

  /// Before the message, which may be long: who may not make the call is not to fill our memory with it.
  private func admit(_ method: ServedMethod) {
    guard let context else { return }
    do {
      try connection.server.admit(context, method.definition)
    } catch {
      end(with: connection.server.status(for: error, method: method.path))
    }
  }

  func received(data: UnsafeRawBufferPointer) {
    // Nobody will take it, and the window is the other calls' too.
    guard !state.isFinished else { return stream.consume(data.count) }
    perform(state.received(data))
    do {
      try countBuffered()
    } catch {
      end(with: error)
    }
    stream.consume(state.takeReturnable())
  }

  /// Throws when the connection, or the server, would hold too much.
  private func countBuffered() throws(RPCError) {
    let change = state.bufferedBytes - countedBytes
    guard change != 0 else { return }
    try connection.buffered(change)
    countedBytes += change
  }

  private func giveBack() {
    // Less than before is never too much.
    try? countBuffered()
  }

  func inboundEnded() {
    perform(state.inboundEnded())
  }

  func outboundMoved() {
    connection.queueMoved()
    if stream.queuedBytes < connection.server.configuration.maxOutboundBytes { writers.resume(returning: ()) }
  }

  func closed(_ code: HTTP2ErrorCode) {
    connection.queueMoved()
    abandon(.cancelled)
    state.streamClosed()
    giveBack()
  }

  private func perform(_ action: ServerCallState.Action) {
    switch action {
    case .none: break
    case .start: connection.ready.append(self)
    case .wakeReader: wakeReader()
    case .fail(let error): end(with: error)
    case .refuse(.status(let error)): end(with: error)
    case .refuse(.http(let status)):
      guard state.finish() else { return }
      stream.respond(.refusal(httpStatus: status), endStream: true)
      // What a gRPC client makes of it.
      release(.unknown)
    }
  }

  // MARK: The handler

  /// Called once, outside of nghttp2.
  func start() {
    guard !state.isFinished, let context, let method = state.head.method?.definition else { return }
    do {
      isLasting = method.endsAtShutdown
      try connection.beginHandler(lasting: isLasting)
    } catch {
      return end(with: error)
    }
    state.handlerBegan()
    // One task and one closure for each call: this is the path every request takes.
    switch method.handler {
    case .unary(let handler):
      guard case .message(let message)? = try? takeMessage() else { return releaseHandler() }
      task = Task.immediate(executorPreference: connection.executor) { [self] in
        do {
          let response = try context.prepare(try await handler(message, context))
          eventLoop.inEventLoop ? answer(response) : eventLoop.execute { self.answer(response) }
        } catch {
          onLoop { self.end(throwing: error) }
        }
        handlerEnded()
      }
      // It has answered already: most do.
      if state.isFinished { task = nil }
    case .streaming(let handler):
      task = Task.immediate(executorPreference: connection.executor) { [self] in
        do {
          try await handler(MessageStream(source: self), MessageWriter(sink: self), context)
          onLoop { self.end(with: nil) }
        } catch {
          onLoop { self.end(throwing: error) }
        }
        handlerEnded()
      }
      // The call may have ended under the handler, by its first message, before there was a task to cancel.
      if state.isFinished {
        task?.cancel()
        task = nil
      }
    }
  }

  private func handlerEnded() {
    eventLoop.inEventLoop ? releaseHandler() : eventLoop.execute { self.releaseHandler() }
  }

  private func releaseHandler() {
    connection.endHandler(lasting: isLasting)
    state.handlerEnded()
    giveBack()
  }

  func takeMessage() throws -> NextMessage {
    if state.isFinished { throw RPCError(.cancelled, "the call has ended") }
    do {
      let next = try state.next()
      if case .message(let message) = next {
        counters?.received(bytes: message.readableBytes)
        if state.tookCompressed { connection.loop.inflated(message.readableBytes) }
      }
      context?.isRequestCompressed = state.tookCompressed
      // Inflated it may be a thousand times what came.
      try countBuffered()
      stream.consume(state.takeReturnable())
      return next
    } catch {
      end(with: error)
      throw error
    }
  }

  func prepare(_ message: ByteBuffer, compressed: Bool) throws -> WireMessage {
    try context?.prepare(message, compressed: compressed) ?? WireMessage(bytes: message)
  }

  func queueMessage(_ message: WireMessage) throws -> Bool {
    if state.isFinished { throw RPCError(.cancelled, "the call has ended") }
    send(message)
    if state.isFinished { throw RPCError(.resourceExhausted, "the client leaves too much unread") }
    return stream.queuedBytes < connection.server.configuration.maxOutboundBytes
  }

  // MARK: The response

  private func send(_ message: WireMessage) {
    if state.sendHeaders() { sendHeaders(compressed: message.isCompressed) }
    counters?.sent(bytes: message.bytes.readableBytes)
    guard connection.mayQueue(message.bytes.readableBytes) else {
      // The peers of the server leave too much unread. gRPC takes this code for RESOURCE_EXHAUSTED.
      stream.reset(.enhanceYourCalm)
      return abandon(.resourceExhausted)
    }
    // The peer does; the stream has been reset.
    if !stream.write(message.prefix, message.bytes) { abandon(.resourceExhausted) }
  }

  private func sendHeaders(compressed: Bool) {
    let encoding = compressed ? .gzip : context?.responseEncoding ?? .identity
    stream.respond(
      .responseHeaders(context?.initialMetadata ?? [:], encoding, state.head.acceptsGzip != nil),
      endStream: false)
  }

  private func answer(_ message: WireMessage) {
    guard !state.isFinished else { return }
    send(message)
    end(with: nil)
  }

  private func end(throwing error: any Error) {
    guard !state.isFinished else { return }
    end(with: connection.server.status(for: error, method: context?.method ?? ""))
  }

  /// Sends the status and ends the call; `nil` is OK.
  private func end(with error: RPCError?) {
    guard state.finish() else { return }
    let trailing = context?.trailingMetadata ?? [:]
    if state.hasSentHeaders {
      stream.finish(trailers: .trailers(error, trailing))
    } else if let error {
      stream.respond(.trailersOnly(error, trailing), endStream: true)
    } else {
      sendHeaders(compressed: false)
      stream.finish(trailers: .trailers(nil, trailing))
    }
    release(error?.code ?? .ok)
  }

  /// The deadline has passed. The client's own clock usually tells it so; where ours is first, the status does. A client
  /// that has stopped reading gets a RST(CANCEL) alone.
  ///
  /// Behind the status there is none: gRPC's C core takes a RST(CANCEL) it reads together with the status for the
  /// status, and makes it CANCELLED.
  func expire() {
    guard stream.queuedBytes > 0 else {
      return end(
        with: RPCError(
          .deadlineExceeded,
          state.isArriving ? "the request has not arrived in time" : "the deadline has passed"))
    }
    stream.reset(.cancel)
    abandon(.deadlineExceeded)
  }

  /// The server cannot wait for the call. What has been queued goes out before the status, if its peer reads it.
  func shutDown() {
    end(with: .shuttingDown)
  }

  private func abandon(_ code: StatusCode) {
    guard state.finish() else { return }
    release(code)
  }

  /// The call is over; its handler is told, if it has not ended by itself.
  private func release(_ code: StatusCode) {
    let now = NIODeadline.now()
    counters?.ended(code, after: Int((now - began).nanoseconds))
    connection.lastEnded = now
    giveBack()
    stream.consume(state.takeReturnable())
    task?.cancel()
    task = nil
    // Nobody waits at the end of a unary call, and an error is two allocations.
    guard !reader.isEmpty || !writers.isEmpty else { return }
    let error = RPCError(code == .ok ? .cancelled : code, "the call has ended")
    reader.resume(throwing: error)
    writers.resume(throwing: error)
  }
}
