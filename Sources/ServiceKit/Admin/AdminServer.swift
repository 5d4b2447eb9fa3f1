import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import RPC
import ServiceLifecycle

/// The operator's port: `/livez` (the process runs), `/readyz` (it can take work, or why not) and
/// `/metrics`. Plain HTTP/1.1, for probes and scrapers inside the network, never for the public.
struct AdminServer: Service {
  let listen: RPCAddress
  let readiness: Readiness
  let metrics: MetricsRegistry
  let group: MultiThreadedEventLoopGroup
  let logger: Logger

  func run() async throws {
    let listener = try await bind()
    readiness.announce("admin", at: listener.localAddress)
    // Until the very end, so that a drain can be watched: this is the first of the services and the last to stop.
    try? await gracefulShutdown()
    try await listener.close()
  }

  private func bind() async throws -> any Channel {
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.backlog, value: 64)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
          try channel.pipeline.syncOperations.addHandlers([
            IdleStateHandler(allTimeout: .seconds(60)),
            AdminHandler(readiness: readiness, metrics: metrics),
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

private final class AdminHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let readiness: Readiness
  private let metrics: MetricsRegistry
  private var head: HTTPRequestHead?

  init(readiness: Readiness, metrics: MetricsRegistry) {
    self.readiness = readiness
    self.metrics = metrics
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body: break
    case .end: if let head { respond(to: head, context: context) }
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
  }

  private func respond(to head: HTTPRequestHead, context: ChannelHandlerContext) {
    let (status, text) = answer(to: head)
    var headers = HTTPHeaders()
    headers.add(name: "content-type", value: "text/plain; version=0.0.4; charset=utf-8")
    headers.add(name: "content-length", value: "\(text.utf8.count)")
    context.write(
      wrapOutboundOut(.head(.init(version: head.version, status: status, headers: headers))), promise: nil)
    if head.method != .HEAD {
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
    }
    let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
    if !head.isKeepAlive { written.assumeIsolated().whenComplete { _ in context.close(promise: nil) } }
  }

  private func answer(to head: HTTPRequestHead) -> (HTTPResponseStatus, String) {
    guard head.method == .GET || head.method == .HEAD else { return (.methodNotAllowed, "GET or HEAD\n") }
    switch head.uri {
    case "/livez": return (.ok, "ok\n")
    case "/readyz":
      let obstacles = readiness.obstacles
      guard !obstacles.isEmpty else { return (.ok, "ok\n") }
      return (.serviceUnavailable, obstacles.map { $0 + "\n" }.joined())
    case "/metrics": return (.ok, metrics.exposition() + ProcessMetrics.exposition())
    default: return (.notFound, "/livez, /readyz and /metrics are served here\n")
    }
  }
}
