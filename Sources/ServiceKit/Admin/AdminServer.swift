import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import RPC
import ServiceLifecycle
import Synchronization

/// The operator's port: `/livez` (the process runs), `/readyz` (it can take work, or why not), `/metrics` and
/// `/connections` (the RPC clients there are). Plain HTTP/1.1, for probes and scrapers inside the network, never for
/// the public.
struct AdminServer: Service {
  let listen: RPCAddress
  let readiness: Readiness
  let metrics: MetricsRegistry
  let rpc: ServedRPC
  let group: MultiThreadedEventLoopGroup
  let logger: Logger

  /// Probes, scrapers, an operator or two. They fit into the descriptors that other servers leave.
  private static let maxConnections = 64

  func run() async throws {
    let listener = try await bind()
    readiness.announce("admin", at: listener.localAddress)
    // Until the very end, so that a drain can be watched: this is the first of the services and the last to stop.
    try? await gracefulShutdown()
    try await listener.close()
  }

  private func bind() async throws -> any Channel {
    let connections = ConnectionCount()
    let logger = logger
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.backlog, value: 64)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: logger))
        }
      }
      .childChannelInitializer { channel in
        guard connections.add(channel, limit: Self.maxConnections) else { return channel.close() }
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
          try channel.pipeline.syncOperations.addHandlers([
            AdminHandler(readiness: readiness, metrics: metrics, rpc: rpc)
          ])
        }
      }
    do {
      return try await bootstrap.bind(to: listen.socketAddress()).get()
    } catch {
      throw StartupFailure("the admin port \(listen) cannot be bound: \(error)")
    }
  }
}

final class ConnectionCount: Sendable {
  private let open = Atomic(0)

  /// Counts the channel until it closes; false when there are too many.
  func add(_ channel: any Channel, limit: Int) -> Bool {
    let count = open.add(1, ordering: .relaxed).newValue
    channel.closeFuture.whenComplete { _ in self.open.subtract(1, ordering: .relaxed) }
    return count <= limit
  }
}

final class AdminHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let readiness: Readiness
  private let metrics: MetricsRegistry
  private let rpc: ServedRPC
  private var head: HTTPRequestHead?
  private var expiry: Scheduled<Void>?

  /// From the connection, or the last answer, to the end of the next request and to that of its answer. It does not
  /// begin anew with every byte: a few slow clients would keep the probes out.
  private static let timeout = TimeAmount.seconds(20)

  init(readiness: Readiness, metrics: MetricsRegistry, rpc: ServedRPC) {
    self.readiness = readiness
    self.metrics = metrics
    self.rpc = rpc
  }

  private struct Answer: Sendable {
    var status = HTTPResponseStatus.ok
    var type = "text/plain; version=0.0.4; charset=utf-8"
    let text: String
  }

  func handlerAdded(context: ChannelHandlerContext) {
    expect(context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    expiry?.cancel()
    context.fireChannelInactive()
  }

  private func expect(_ context: ChannelHandlerContext) {
    expiry?.cancel()
    expiry = context.eventLoop.assumeIsolated().scheduleTask(in: Self.timeout) { context.close(promise: nil) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body: break
    case .end:
      guard let head else { return }
      answer(to: head, on: context.eventLoop).assumeIsolated().whenSuccess { answer in
        self.respond(answer, to: head, context: context)
      }
    }
  }

  private func respond(_ answer: Answer, to head: HTTPRequestHead, context: ChannelHandlerContext) {
    var headers = HTTPHeaders()
    headers.add(name: "content-type", value: answer.type)
    headers.add(name: "content-length", value: "\(answer.text.utf8.count)")
    context.write(
      wrapOutboundOut(.head(.init(version: head.version, status: answer.status, headers: headers))),
      promise: nil)
    if head.method != .HEAD {
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.text)))), promise: nil)
    }
    let isLast = !head.isKeepAlive
    context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
      isLast ? context.close(promise: nil) : self.expect(context)
    }
  }

  private func answer(to head: HTTPRequestHead, on eventLoop: any EventLoop) -> EventLoopFuture<Answer> {
    func now(_ status: HTTPResponseStatus, _ text: String) -> EventLoopFuture<Answer> {
      eventLoop.makeSucceededFuture(Answer(status: status, text: text))
    }
    guard head.method == .GET || head.method == .HEAD else { return now(.methodNotAllowed, "GET or HEAD\n") }
    switch head.uri {
    case "/livez": return now(.ok, "ok\n")
    case "/readyz":
      let obstacles = readiness.obstacles
      guard !obstacles.isEmpty else { return now(.ok, "ok\n") }
      return now(.serviceUnavailable, obstacles.map { $0 + "\n" }.joined())
    case "/metrics":
      return rpc.metrics(on: eventLoop).map { [metrics] in
        Answer(text: metrics.exposition() + $0 + ProcessMetrics.exposition())
      }
    case "/connections":
      return rpc.connections(on: eventLoop).map { Answer(type: "application/json", text: $0) }
    default: return now(.notFound, "/livez, /readyz, /metrics and /connections are served here\n")
    }
  }
}
