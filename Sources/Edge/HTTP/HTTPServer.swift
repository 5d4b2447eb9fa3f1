import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization

/// Serves HTTP/1.1. `run()` listens, serves until graceful shutdown, then lets running requests finish.
final class HTTPServer: Service {
  private let address: RPCAddress
  private let group: any EventLoopGroup
  private let configuration: HTTPConnection.Configuration
  private let onListening: @Sendable (SocketAddress) -> Void
  private let logger: Logger
  private let connections = Mutex<[ObjectIdentifier: any Channel]>([:])

  /// - Parameter onListening: told the address really bound; with port 0 the kernel chooses it.
  init(
    address: RPCAddress, group: any EventLoopGroup, configuration: HTTPConnection.Configuration,
    logger: Logger, onListening: @escaping @Sendable (SocketAddress) -> Void
  ) {
    self.address = address
    self.group = group
    self.configuration = configuration
    self.logger = logger
    self.onListening = onListening
  }

  /// - Throws: `ListenError`, which names the address.
  func run() async throws {
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
    let limit = FileDescriptors.fit(connections: configuration.limits.connections, logger: logger)
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: logger))
        }
      }
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.autoRead, value: false)
      .childChannelInitializer { channel in self.accept(channel, limit: limit) }
    do {
      return try await bootstrap.bind(to: address.socketAddress()).get()
    } catch {
      throw ListenError(address: address, cause: error)
    }
  }

  /// - Parameter limit: connections that may be open. One over it is told so, which takes a descriptor for a moment; where
  ///   there is none it waits to be accepted.
  private func accept(_ channel: any Channel, limit: Int) -> EventLoopFuture<Void> {
    let isAdmitted = connections.withLock { connections in
      guard connections.count < limit else { return false }
      connections[ObjectIdentifier(channel)] = channel
      return true
    }
    return channel.eventLoop.makeCompletedFuture {
      guard isAdmitted else {
        return try channel.pipeline.syncOperations.addHandler(OverflowHandler(configuration))
      }
      var limits = NIOHTTPDecoderLimitConfiguration()
      limits.maxHeaderFieldSize = configuration.limits.headerBytes
      limits.maxHeaderListSize = configuration.limits.headerBytes
      limits.maxHeaderFieldCount = configuration.limits.headerFields
      try channel.pipeline.syncOperations.addHandlers([
        ByteToMessageHandler(
          HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)),
        HTTPConnection(configuration),
      ])
      channel.closeFuture.whenComplete { _ in
        self.connections.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) }
      }
    }
  }

  /// Idle connections end now, busy ones with their answer. The service group's grace period bounds the wait:
  /// past it this task is cancelled and what is left is cut.
  private func drain() async {
    let open = connections.withLock { Array($0.values) }
    logger.debug("draining", metadata: ["connections": "\(open.count)"])
    for channel in open { channel.pipeline.fireUserInboundEventTriggered(HTTPConnection.Drain()) }
    await withTaskCancellationHandler {
      for channel in open { try? await channel.closeFuture.get() }
    } onCancel: {
      for channel in open { channel.close(promise: nil) }
    }
  }
}

/// Answers a connection that is one too many, so that the client knows why, and hangs up.
private final class OverflowHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let configuration: HTTPConnection.Configuration

  init(_ configuration: HTTPConnection.Configuration) {
    self.configuration = configuration
  }

  func channelActive(context: ChannelHandlerContext) {
    let reception = configuration.refuse(.tooManyConnections)
    guard case .answered(let response) = reception.plan else { return context.close(promise: nil) }
    var out = context.channel.allocator.buffer(capacity: 1024)
    response.head.write(
      to: &out, framing: .length(response.body.readableBytes), requestID: reception.requestID,
      keepsAlive: false, date: configuration.date)
    out.writeImmutableBuffer(response.body)
    context.writeAndFlush(NIOAny(out)).assumeIsolated().whenComplete { _ in context.close(promise: nil) }
  }
}
