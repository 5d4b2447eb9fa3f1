import Logging
import NIOCore
import NIOPosix
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization

/// Serves HTTP/1.1, and HTTP/2 where it is agreed on. `run()` listens, serves until graceful shutdown, then lets running
/// requests finish.
final class HTTPServer: Service {
  struct Configuration: Sendable {
    var address: RPCAddress
    /// `nil` serves in plaintext.
    var tls: ServerTLS?
    /// In plaintext, whether clients may speak HTTP/2 from the first byte.
    var takesPlaintextHTTP2 = false
  }

  private let configuration: Configuration
  private let group: any EventLoopGroup
  private let core: HTTPCore
  private let onListening: @Sendable (SocketAddress) -> Void
  private let logger: Logger
  /// Each is used on its own loop.
  private let connections = Mutex<[ObjectIdentifier: NIOLoopBound<ServedConnection>]>([:])

  /// - Parameter onListening: told the address really bound; with port 0 the kernel chooses it.
  init(
    _ configuration: Configuration, group: any EventLoopGroup, core: HTTPCore, logger: Logger,
    onListening: @escaping @Sendable (SocketAddress) -> Void
  ) {
    var configuration = configuration
    configuration.tls?.handshakeTimeout = Duration(core.limits.headerDeadline)
    self.configuration = configuration
    self.group = group
    self.core = core
    self.logger = logger
    self.onListening = onListening
  }

  /// - Throws: `ListenError`, which names the address.
  func run() async throws {
    guard let tls = configuration.tls else { return try await serve() }
    try await withThrowingDiscardingTaskGroup { tasks in
      tasks.addTask { await tls.watch(logger: self.logger) }
      defer { tasks.cancelAll() }
      try await serve()
    }
  }

  private func serve() async throws {
    let listener = try await bind()
    if let bound = listener.localAddress { onListening(bound) }
    try await withGracefulShutdownHandler {
      try await withTaskCancellationHandler {
        try await listener.closeFuture.get()
      } onCancel: {
        listener.close(promise: nil)
      }
    } onGracefulShutdown: {
      listener.close(promise: nil)
    }
    await drain()
  }

  private func bind() async throws -> any Channel {
    let logger = logger
    let census = ConnectionCensus(
      limit: FileDescriptors.fit(connections: core.limits.connections, logger: logger),
      limitOfAddress: core.limits.connectionsPerAddress)
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: logger))
        }
      }
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      // Between two reads of one connection the others get their turn.
      .childChannelOption(.maxMessagesPerRead, value: 1)
      // Kept for as long as the connection is, so it begins small, and grows with what arrives.
      .childChannelOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 1024, maximum: 65536)
      )
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try self.accept(channel, census) }
      }
    do {
      return try await bootstrap.bind(to: configuration.address.socketAddress()).get()
    } catch {
      throw ListenError(address: configuration.address, cause: error)
    }
  }

  /// On the connection's loop. One too many is told so, which takes a descriptor for a moment; where there is none it waits
  /// to be accepted. In TLS it is not: a handshake is what costs.
  private func accept(_ channel: any Channel, _ census: ConnectionCensus) throws {
    let address = PeerNetwork(channel.remoteAddress)
    if let refusal = census.admit(address) {
      guard configuration.tls == nil else { return channel.close(promise: nil) }
      return try channel.pipeline.syncOperations.addHandler(OverflowHandler(core, refusal))
    }
    let connection = ServedConnection(channel, core)
    let id = ObjectIdentifier(connection)
    let bound = NIOLoopBound(connection, eventLoop: channel.eventLoop)
    connections.withLock { $0[id] = bound }
    channel.closeFuture.whenComplete { _ in
      bound.value.release()
      census.leave(address)
      self.connections.withLock { _ = $0.removeValue(forKey: id) }
    }
    try connection.start(
      tls: configuration.tls, takesHTTP2: configuration.takesPlaintextHTTP2, logger: logger)
  }

  /// Idle connections end now, busy ones with their answer. The service group's grace period bounds the wait:
  /// past it this task is cancelled and what is left is cut.
  private func drain() async {
    let open = connections.withLock { Array($0.values) }
    logger.debug("draining", metadata: ["connections": "\(open.count)"])
    for connection in open { connection.eventLoop.execute { connection.value.drain() } }
    await withTaskCancellationHandler {
      for connection in open { await connection.closed() }
    } onCancel: {
      for connection in open { connection.eventLoop.execute { connection.value.close() } }
    }
  }
}

extension NIOLoopBound<ServedConnection> {
  fileprivate func closed() async {
    try? await eventLoop.flatSubmit { value.closeFuture }.get()
  }
}

/// Answers a connection that is one too many, so that the client knows why, and hangs up.
private final class OverflowHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let core: HTTPCore
  private let refusal: HTTPRefusal

  init(_ core: HTTPCore, _ refusal: HTTPRefusal) {
    self.core = core
    self.refusal = refusal
  }

  func channelActive(context: ChannelHandlerContext) {
    let reception = core.refuse(refusal)
    guard case .answered(let response) = reception.plan else { return context.close(promise: nil) }
    var out = context.channel.allocator.buffer(capacity: 1024)
    response.head.write(
      to: &out, framing: .length(response.body.readableBytes), requestID: reception.requestID,
      keepsAlive: false, date: core.date)
    out.writeImmutableBuffer(response.body)
    context.writeAndFlush(NIOAny(out)).assumeIsolated().whenComplete { _ in context.close(promise: nil) }
  }
}
