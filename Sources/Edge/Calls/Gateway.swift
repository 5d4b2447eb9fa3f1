import Logging
import NIOCore
import NIOHTTP1
import RPC
import Schema
import ServiceKit

/// Between HTTP and RPC: finds a request's route, makes its call, and makes the outcome an answer.
struct Gateway: Sendable {
  struct Limits: Sendable {
    var jsonBytes = 1 << 20
    var ingestBytes = 16 << 20
    var uploadBytes = 1 << 30
    /// What a service takes as one message (`RPCServer.Configuration.maxMessageBytes`).
    var messageBytes = 4 << 20
    var unaryDeadline: TimeAmount = .seconds(30)
    var uploadDeadline: TimeAmount = .hours(1)
    var downloadDeadline: TimeAmount = .minutes(10)
  }

  let routes: RouteTrie
  let documentation: Documentation
  let health: PlatformHealth
  let reads: ReadCache
  var traces = RequestTraces(tracer: nil)
  /// Who may make a call, known before any of the body is read: `Gatekeeper.admit`.
  let admit: @Sendable (HTTPHeaders, SocketAddress?, Route) throws(Problem) -> Gatekeeper.Decision
  var limits = Limits()
  var cors = CORS.none
  /// Counts what found no route.
  let unrouted: RouteMetrics
  let logger: Logger

  /// Decides from the head alone how a request is answered.
  func receive(_ head: HTTPRequestHead, from peer: SocketAddress?) -> Reception {
    let requestID = RequestID.of(head.headers)
    let trace = traces.begin(head.headers)
    if let response = preflight(head) {
      return Reception(plan: .answered(response), requestID: requestID, metrics: unrouted, trace: trace)
    }
    var route: Route?
    do throws(Problem) {
      if let target = RequestTarget(head.uri), let page = try ownPage(head, at: target.path) {
        return Reception(
          plan: .answered(page), requestID: requestID, metrics: unrouted, trace: trace)
      }
      let call = try recognise(head, requestID, trace, as: &route)
      let (plan, tenant) = try plan(call, from: peer)
      return Reception(
        plan: plan, requestID: requestID, route: call.route.template, tenant: tenant,
        metrics: call.route.metrics, trace: trace)
    } catch {
      let response = error.response(to: (head.method.rawValue, path(of: head)), requestID: requestID)
      return Reception(
        plan: .answered(response), requestID: requestID, route: route?.template,
        metrics: route?.metrics ?? unrouted, trace: trace)
    }
  }

  /// What the Edge itself has to tell.
  private func ownPage(_ head: HTTPRequestHead, at path: Substring) throws(Problem) -> HTTPResponse? {
    if let page = try documentation.answer(head, at: path) { return page }
    return try health.answer(head, at: path)
  }

  /// A refusal of the HTTP layer, as a problem like any other.
  func refuse(_ refusal: HTTPRefusal) -> Reception {
    let requestID = refusal.requestID ?? refusal.head.map { RequestID.of($0.headers) } ?? RequestID.make()
    let target = (refusal.head?.method.rawValue ?? "", refusal.head.map(path) ?? "")
    var problem = Problem(refusal.status, refusal.code, refusal.detail)
    problem.headers = refusal.headers
    return Reception(
      plan: .answered(problem.response(to: target, requestID: requestID)), requestID: requestID,
      metrics: unrouted)
  }

  /// The answer to what a browser asks on its own before a page of another origin may call (see `CORS`). A path that nothing
  /// is at is not found, for it too.
  private func preflight(_ head: HTTPRequestHead) -> HTTPResponse? {
    guard let preflight = cors.preflight(head), let target = RequestTarget(head.uri),
      case .wrongMethod(let methods) = routes.match(method: head.method.rawValue, path: target.path)
    else { return nil }
    return cors.response(to: preflight, methods: methods)
  }

  // MARK: Admission

  /// - Parameter matched: the route, as soon as it is known: a request refused after that is still counted there.
  private func recognise(
    _ head: HTTPRequestHead, _ requestID: String, _ trace: RequestTrace?, as matched: inout Route?
  ) throws(Problem) -> Call {
    guard let target = RequestTarget(head.uri) else { throw Self.routeNotFound }
    let route: Route
    let variables: [String]
    switch routes.match(method: head.method.rawValue, path: target.path) {
    case .found(let found, let values):
      (route, variables) = (found, values)
      matched = found
    case .notFound: throw Self.routeNotFound
    case .malformed(let reason): throw Problem(400, "MALFORMED_PATH", reason)
    case .wrongMethod(let allowed):
      throw Problem.wrongMethod(head.method.rawValue, allowed: allowed)
    }
    var metadata: Metadata = ["x-request-id": requestID]
    trace?.context.write(to: &metadata)
    if let key = try IdempotencyKey.of(head.headers, for: route) {
      metadata[Idempotency.metadataKey] = key
    }
    return Call(
      route: route, variables: variables, target: target, head: head, requestID: requestID, metadata: metadata
    )
  }

  /// A raw body is the service's business; any other is JSON, as it is.
  private func checkContent(of head: HTTPRequestHead, for route: Route) throws(Problem) {
    if case .raw = route.body { return }
    if let encoding = head.headers.first(name: "content-encoding"), encoding.lowercased() != "identity" {
      throw Problem(415, "UNSUPPORTED_CONTENT_ENCODING", "JSON bodies are taken uncompressed here.")
    }
    guard let type = head.headers.first(name: "content-type") else { return }
    let media = type.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
    guard media == "application/json" || media.hasPrefix("application/") && media.hasSuffix("+json") else {
      throw Problem(415, "UNSUPPORTED_MEDIA_TYPE", "This route takes application/json, not \(media).")
    }
  }

  private static let routeNotFound = Problem(404, "ROUTE_NOT_FOUND", "There is no such route.")

  private func path(of head: HTTPRequestHead) -> String {
    RequestTarget(head.uri).map { String($0.path) } ?? head.uri
  }

  /// Who calls, and whether they may, is known before any of the body is read. What has to be asked for first is asked by
  /// the task that answers.
  private func plan(
    _ call: Call, from peer: SocketAddress?
  ) throws(Problem) -> (plan: Reception.Plan, tenant: String?) {
    let decision = try admit(call.head.headers, peer, call.route)
    try checkContent(of: call.head, for: call.route)
    switch decision {
    case .admitted(let pass): return (plan(call.admitted(by: pass)), pass.tenant)
    case .pending(let pass):
      return (
        .streamed(maxBytes: maxBodyBytes(of: call.route)) { body, responder in
          await answer(call, responder) {
            let call = call.admitted(by: try await pass())
            await answer(call, responder) { try await serve(call, body, responder) }
          }
        }, nil
      )
    }
  }

  private func plan(_ call: Call) -> Reception.Plan {
    let maxBytes = maxBodyBytes(of: call.route)
    if case .raw = call.route.body {
      return .streamed(maxBytes: maxBytes) { body, responder in
        await answer(call, responder) { try await upload(call, body, responder) }
      }
    }
    return .collected(maxBytes: maxBytes) { body, responder in
      await answer(call, responder) { try await serve(call, body, responder) }
    }
  }

  private func maxBodyBytes(of route: Route) -> Int {
    if case .raw = route.body { return limits.uploadBytes }
    return route.rateClass == .ingest ? limits.ingestBytes : limits.jsonBytes
  }

  private func serve(_ call: Call, _ body: HTTPRequestBody, _ responder: HTTPResponder) async throws {
    if case .raw = call.route.body { return try await upload(call, body, responder) }
    var bytes = ByteBuffer()
    while let piece = try await body.next() { bytes.writeImmutableBuffer(piece) }
    try await serve(call, bytes, responder)
  }

  private func serve(_ call: Call, _ body: ByteBuffer, _ responder: HTTPResponder) async throws {
    if case .raw = call.route.answer {
      try await download(call, body, responder)
    } else {
      try await unary(call, body, responder)
    }
  }

  // MARK: Calls

  private func unary(_ call: Call, _ body: ByteBuffer, _ responder: HTTPResponder) async throws {
    if let policy = call.route.caching { return try await read(call, policy, body, responder) }
    var options = CallOptions(metadata: call.metadata, deadline: .now() + limits.unaryDeadline)
    // With a key it has its effect once, however often it is made.
    if call.metadata[Idempotency.metadataKey] != nil { options.policy.attempts = .retry(RetryPolicy()) }
    let answer = try await call.route.client.unary(call.route.rpc, try request(call, body), options)
    await responder.respond(try response(answer.message, metadata: answer.initialMetadata, of: call))
  }

  /// A read that may be a little old. One that was is fetched anew once it is on its way to the client.
  private func read(
    _ call: Call, _ policy: ReadPolicy, _ body: ByteBuffer, _ responder: HTTPResponder
  ) async throws {
    let request = try request(call, body)
    let key = ReadKey(path: call.route.rpc.path, audience: call.audience, request: request)
    let fetch = { () async throws -> ReadAnswer in
      let answer = try await call.route.client.unary(
        call.route.rpc, request,
        CallOptions(metadata: call.metadata, deadline: .now() + limits.unaryDeadline))
      return ReadAnswer(message: answer.message, initialMetadata: answer.initialMetadata)
    }
    let (answer, isToRefresh) = try await reads.answer(key, policy, fetch: fetch)
    var response = try response(answer.message, metadata: answer.initialMetadata, of: call)
    if call.route.isPublic {
      response.head.cacheControl = "public, max-age=\(policy.fresh.nanoseconds / 1_000_000_000)"
    }
    await responder.respond(response)
    if isToRefresh { await reads.refresh(key, fetch: fetch) }
  }

  /// Passes the body on as it comes. The RPC's window and the socket's reads are tied together by `body.next`
  /// and `writer.write`: neither gets ahead of the other by more than a buffer.
  private func upload(_ call: Call, _ body: HTTPRequestBody, _ responder: HTTPResponder) async throws {
    let contentType = call.head.headers.first(name: "content-type") ?? "application/octet-stream"
    let answer = try await call.route.client.stream(
      call.route.rpc, CallOptions(metadata: call.metadata, deadline: .now() + limits.uploadDeadline)
    ) { writer in
      var piece = RawBody(contentType: contentType, data: try await body.next() ?? ByteBuffer())
      try await writer.write(piece.encoded())
      piece.contentType = ""
      while let data = try await body.next() {
        piece.data = data
        try await writer.write(piece.encoded())
      }
    } responses: { stream in
      try await stream.single()
    }
    await responder.respond(try response(answer.message, metadata: answer.initialMetadata, of: call))
  }

  /// Passes the answer on as it comes. Its first message decides status and type.
  private func download(_ call: Call, _ body: ByteBuffer, _ responder: HTTPResponder) async throws {
    let request = try request(call, body)
    try await call.route.client.stream(
      call.route.rpc, CallOptions(metadata: call.metadata, deadline: .now() + limits.downloadDeadline)
    ) { writer in
      try await writer.write(request)
    } responses: { stream in
      var hasStarted = false
      for try await message in stream {
        let piece = try RawBody(decoding: message)
        if !hasStarted {
          hasStarted = true
          let type = piece.contentType.isEmpty ? "application/octet-stream" : piece.contentType
          await responder.start(head(try await stream.initialMetadata, of: call, contentType: type))
        }
        if call.head.method == .HEAD { break }
        try await responder.write(piece.data)
      }
      guard hasStarted else { return await responder.respond(nothing(of: call)) }
      try await responder.end()
    }
  }

  /// The service would refuse a message that is too large with RESOURCE_EXHAUSTED, which tells the client to come
  /// back later; but later it is no smaller.
  private func request(_ call: Call, _ body: ByteBuffer) throws(Problem) -> ByteBuffer {
    let message = try call.requestMessage(body)
    guard message.readableBytes <= limits.messageBytes else {
      throw Problem(
        413, "BODY_TOO_LARGE",
        "The request is \(message.readableBytes) bytes in the service's form, which may have at most \(limits.messageBytes)."
      )
    }
    return message
  }

  private func response(_ message: ByteBuffer, metadata: Metadata, of call: Call) throws -> HTTPResponse {
    let field: Int?
    switch call.route.answer {
    case .nothing, .raw: return nothing(of: call)
    case .message: field = nil
    case .field(let index): field = index
    }
    var out = ByteBuffer()
    out.reserveCapacity(message.readableBytes * 2 + 64)
    let body = try WireToJSON.transcode(message, as: call.route.response, field: field, into: out)
    var head = head(metadata, of: call, contentType: "application/json")
    // Reads are what a client may have already. Of what is for the eyes of one moment, such as tokens, nothing is kept.
    head.isValidated = call.route.httpMethod == "GET" && call.route.rateClass == .query
    return HTTPResponse(head, body: body)
  }

  private func nothing(of call: Call) -> HTTPResponse {
    HTTPResponse(HTTPResponseHead(status: 204, headers: call.limitFields))
  }

  /// What a service may say about an answer's head.
  private func head(_ metadata: Metadata, of call: Call, contentType: String) -> HTTPResponseHead {
    let status = metadata["http-status"].flatMap { Int($0) }.flatMap { (200...299).contains($0) ? $0 : nil }
    var head = HTTPResponseHead(
      status: status ?? call.route.successStatus, contentType: contentType, headers: call.limitFields)
    if let disposition = metadata["http-content-disposition"] {
      head.headers.append(("Content-Disposition", disposition))
    }
    if metadata[Idempotency.replayed.metadata] != nil {
      head.headers.append(("Idempotency-Replayed", "true"))
    }
    return head
  }

  // MARK: Failures

  private func answer(
    _ call: Call, _ responder: HTTPResponder, _ body: () async throws -> Void
  ) async {
    do {
      try await body()
    } catch {
      var problem = problem(error, call)
      problem.headers += call.limitFields
      let target = (call.head.method.rawValue, String(call.target.path))
      await responder.fail(problem.response(to: target, requestID: call.requestID))
    }
  }

  private func problem(_ error: any Error, _ call: Call) -> Problem {
    switch error {
    case let problem as Problem:
      return problem
    case let error as RPCError where error.concernsPrincipal:
      // The service knows no key yet that identity signs with. The client can do nothing about that but come back.
      log("the service does not believe the principal", error, call)
      return Problem(
        503, "IDENTITY_UNAVAILABLE", "The service behind this route does not know yet who is calling.")
    case let error as RPCError:
      let problem = Problem(error, route: call.route)
      if problem.status >= 500 { log("the service failed", error, call) }
      return problem
    case is ClientDisconnected, is CancellationError, is BodyTooLarge, is BodyTimeout, is BodyNotHeld,
      is HTTPRefusal:
      // The connection has answered already, or there is nobody left to answer.
      return Problem(499, "CANCELLED", "The client went away.")
    default:
      log("the call failed", error, call)
      return Problem(500, "INTERNAL", "Something went wrong here. The request id finds it in our logs.")
    }
  }

  private func log(_ message: Logger.Message, _ error: any Error, _ call: Call) {
    logger.warning(
      message,
      metadata: [
        "request_id": "\(call.requestID)", "rpc": "\(call.route.rpc.path)", "error": "\(error)",
      ])
  }
}
