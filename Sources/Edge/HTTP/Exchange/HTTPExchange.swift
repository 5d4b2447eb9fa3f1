import NIOCore
import NIOHTTP1
import RPC

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

/// One request and its answer, whatever carries it: a connection of HTTP/1.1, or a stream of HTTP/2. Belongs to their
/// loop.
final class HTTPExchange {
  let head: HTTPRequestHead
  let reception: Reception
  let core: HTTPCore
  let start: NIODeadline
  /// Whether a body was announced, which may turn out to be empty.
  let hasBody: Bool
  let transport: any ExchangeTransport

  enum Progress { case none, begun, ended }
  private(set) var response = Progress.none
  private(set) var isRequestComplete = false
  private(set) var status = 0
  private(set) var bytesIn = 0
  private(set) var bytesOut = 0
  private var task: Task<Void, Never>?

  /// What has been collected, or waits for the reader of a streamed body.
  private var pending = ByteBuffer()
  private var held: HeldBytes
  private var bodyFailure: (any Error)?
  private var bodyWaiter: CheckedContinuation<ByteBuffer?, any Error>?
  private var writeWaiter: CheckedContinuation<Void, any Error>?

  init(
    _ head: HTTPRequestHead, hasBody: Bool, reception: Reception, core: HTTPCore,
    transport: any ExchangeTransport,
    start: NIODeadline
  ) {
    self.head = head
    self.hasBody = hasBody
    self.reception = reception
    self.core = core
    self.transport = transport
    self.start = start
    held = HeldBytes(core.held)
    reception.metrics?.began()
  }

  var maxBodyBytes: Int {
    switch reception.plan {
    case .answered: core.limits.ignoredBodyBytes
    case .collected(let maxBytes, _), .streamed(let maxBytes, _): maxBytes
    }
  }

  var isStreamed: Bool {
    if case .streamed = reception.plan { true } else { false }
  }

  /// Received bytes that nobody has taken.
  var pendingBytes: Int { pending.readableBytes }
  /// The reader of a streamed body waits for the client.
  var isBodyAwaited: Bool { bodyWaiter != nil }

  // MARK: The request

  /// Begins to answer. What is known from the head alone is refused before any of the body is read.
  ///
  /// - Parameter declaredBytes: of the body, where the request says how long it is.
  func begin(declaredBytes: Int?) {
    if let declaredBytes, declaredBytes > maxBodyBytes {
      return refuse(.bodyTooLarge(maxBytes: maxBodyBytes))
    }
    if hasBody, let expectation = head.headers.first(name: "expect") {
      guard expectation.lowercased() == "100-continue" else { return refuse(.unknownExpectation) }
      if case .answered(let response) = reception.plan { return respond(response) }
      transport.sendContinue(for: self)
    }
    transport.bodyClockChanged(of: self)
    if case .streamed(_, let body) = reception.plan { run { await body($0.body, $0) } }
  }

  func received(_ bytes: ByteBuffer) {
    bytesIn += bytes.readableBytes
    if response == .ended || bodyFailure != nil { return transport.bodyTaken(bytes.readableBytes, of: self) }
    if bytesIn > maxBodyBytes { return overflow() }
    if case .answered = reception.plan { return transport.bodyTaken(bytes.readableBytes, of: self) }
    if let waiter = bodyWaiter.take() {
      transport.bodyClockChanged(of: self)
      waiter.resume(returning: bytes)
      return transport.bodyTaken(bytes.readableBytes, of: self)
    }
    guard held.set(pending.readableBytes + bytes.readableBytes) else {
      return failBody(.overloaded, BodyNotHeld())
    }
    if pending.readableBytes == 0 { pending = bytes } else { pending.writeImmutableBuffer(bytes) }
    if !isStreamed { transport.bodyTaken(bytes.readableBytes, of: self) }
  }

  func receivedEnd() {
    isRequestComplete = true
    transport.bodyClockChanged(of: self)
    guard response != .ended else { return }
    switch reception.plan {
    case .answered(let response): respond(response)
    case .collected(_, let body):
      let bytes = pending
      pending = ByteBuffer()
      // The bytes stay counted until the answer: the task has them.
      run { await body(bytes, $0) }
    case .streamed: bodyWaiter.take()?.resume(returning: nil)
    }
  }

  private func overflow() {
    let maxBytes = maxBodyBytes
    failBody(.bodyTooLarge(maxBytes: maxBytes), BodyTooLarge(maxBytes: maxBytes))
  }

  /// The body cannot be taken. Who waits for it learns of it, and the client, if there is no answer under way.
  func failBody(_ refusal: HTTPRefusal, _ error: any Error) {
    wakeAll(error)
    guard response == .none else { return }
    task?.cancel()
    refuse(refusal)
  }

  /// Nobody is there any more to answer.
  func disconnected() {
    wakeAll(ClientDisconnected())
    finished()
    guard response != .ended else { return }
    task?.cancel()
    response = .ended
    if status == 0 { status = Self.clientClosedRequest }
    record()
  }

  /// The client went away, or the task was told to stop: who waits for it does not any more.
  func cancelBodyWait() { bodyWaiter.take()?.resume(throwing: CancellationError()) }
  func cancelWriteWait() { writeWaiter.take()?.resume(throwing: CancellationError()) }

  /// What nginx calls it when the client did not wait.
  private static let clientClosedRequest = 499

  private func run(_ body: @escaping @Sendable (HTTPResponder) async -> Void) {
    let eventLoop = transport.eventLoop
    let responder = HTTPResponder(self, on: eventLoop)
    let exchange = NIOLoopBound(self, eventLoop: eventLoop)
    transport.taskBegan()
    task = Task(executorPreference: EventLoopTaskExecutor.current(on: eventLoop)) {
      await body(responder)
      if eventLoop.inEventLoop {
        exchange.value.transport.taskEnded()
      } else {
        eventLoop.execute { exchange.value.transport.taskEnded() }
      }
    }
  }

  /// Waits for body bytes on behalf of the application.
  func awaitBody(_ waiter: CheckedContinuation<ByteBuffer?, any Error>) {
    if let bodyFailure { return waiter.resume(throwing: bodyFailure) }
    if pending.readableBytes > 0 {
      let bytes = pending
      pending = ByteBuffer()
      _ = held.set(0)
      waiter.resume(returning: bytes)
      return transport.bodyTaken(bytes.readableBytes, of: self)
    }
    if isRequestComplete { return waiter.resume(returning: nil) }
    guard response != .ended else { return waiter.resume(throwing: ClientDisconnected()) }
    bodyWaiter = waiter
    transport.bodyClockChanged(of: self)
    transport.bodyWanted(of: self)
  }

  // MARK: The answer

  func respond(_ response: HTTPResponse) {
    guard self.response == .none else { return }
    var response = response
    if !response.head.status.hasBody { response.body = ByteBuffer() }
    let length = response.body.readableBytes
    if length > HeldBytes.freeBytes, !held.set(length + pending.readableBytes) {
      response = refusalResponse(.overloaded)
    }
    let contentLength = response.head.status.hasBody ? response.body.readableBytes : nil
    if head.method == .HEAD { response.body = ByteBuffer() }
    begin(&response.head)
    bytesOut = response.body.readableBytes
    self.response = .ended
    pending = ByteBuffer()
    wakeAll(ClientDisconnected())
    transport.send(response, contentLength: contentLength, of: self)
    record()
  }

  private func refuse(_ refusal: HTTPRefusal) {
    if case .answered(let response) = reception.plan, refusal.status < 500 { return respond(response) }
    respond(refusalResponse(refusal))
  }

  private func refusalResponse(_ refusal: HTTPRefusal) -> HTTPResponse {
    var refusal = refusal
    refusal.head = head
    refusal.requestID = reception.requestID
    return core.refuse(refusal).response
  }

  func start(_ head: HTTPResponseHead) {
    guard response == .none else { return }
    var head = head
    begin(&head)
    transport.sendHead(head, of: self)
  }

  private func begin(_ response: inout HTTPResponseHead) {
    self.response = .begun
    status = response.status
    core.cors.addFields(to: &response, for: head)
  }

  /// Whether pieces of a body that is sent as it comes reach the client.
  var sendsBody: Bool { head.method != .HEAD && status.hasBody }

  func write(_ piece: ByteBuffer, _ waiter: CheckedContinuation<Void, any Error>) {
    guard response == .begun else { return waiter.resume(throwing: ClientDisconnected()) }
    if sendsBody, piece.readableBytes > 0 {
      bytesOut += piece.readableBytes
      guard transport.sendPiece(piece, of: self) else { return writeWaiter = waiter }
    }
    waiter.resume()
  }

  /// The client has taken so much of the answer that more may follow.
  func becameWritable() {
    writeWaiter.take()?.resume()
  }

  func end() {
    guard response == .begun else { return }
    response = .ended
    pending = ByteBuffer()
    wakeAll(ClientDisconnected())
    transport.sendEnd(of: self)
    record()
  }

  func fail(_ response: HTTPResponse) {
    switch self.response {
    case .none: respond(response)
    case .begun: transport.abort(self)
    case .ended: break
    }
  }

  /// The transport holds no more of the answer, or never will send it.
  func finished() {
    _ = held.set(0)
  }

  private func record() {
    let end = transport.eventLoop.now
    reception.metrics?.ended(status, after: end - start)
    core.log(self, end)
  }

  /// Wakes whoever waits for the client.
  private func wakeAll(_ error: any Error) {
    if bodyFailure == nil { bodyFailure = error }
    bodyWaiter.take()?.resume(throwing: error)
    writeWaiter.take()?.resume(throwing: error)
  }
}
