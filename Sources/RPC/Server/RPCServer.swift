package import HTTP2
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Serves gRPC on HTTP/2. `run()` listens, serves until graceful shutdown, then drains in two steps.
package final class RPCServer: Service, Sendable {
  /// Every limit of the server in one place.
  package struct Configuration: Sendable {
    package var address: RPCAddress
    /// `nil` serves in plaintext.
    package var tls: ServerTLS?

    /// The limits and timers of each connection: streams, windows, header lists, floods, keepalive, age.
    package var http2 = HTTP2Configuration.server
    /// Handlers a connection may have running at once. A reset frees its stream at once but not its handler,
    /// so this is what bounds the work one peer can start. A call over it is RESOURCE_EXHAUSTED.
    package var maxRunningHandlers = 512
    /// Handlers the server may have running at once. A call over it is UNAVAILABLE: another instance may have
    /// room. Event loops may keep up to a quarter of them to themselves, so it can be met a little earlier.
    /// A connection that runs more than a few may run at most a quarter as many as are left, so that a few
    /// connections cannot take all.
    package var maxRunningHandlersPerServer = 16 << 10
    /// Calls a connection may have that go on until somebody ends them, such as `Health.Watch`. They are open to
    /// everyone and cost their peer nothing, so they have places of their own. One over it is RESOURCE_EXHAUSTED.
    package var maxLastingCalls = 8
    /// The same for the server. One over it is UNAVAILABLE. Half of it is for the first such call of each connection.
    package var maxLastingCallsPerServer = 8 << 10
    /// Bytes of one request message, after it has been inflated. A longer one is RESOURCE_EXHAUSTED.
    package var maxMessageBytes = 4 << 20
    /// Bytes of one response message, before it is deflated. A longer one is RESOURCE_EXHAUSTED in its place.
    package var maxResponseBytes = 64 << 20
    /// How long a call may take whose caller sets no deadline; nil: as long as it likes.
    package var defaultDeadline: Duration?
    /// How long a call may take whatever its caller says; nil: as long as its caller likes.
    package var maxDeadline: Duration?
    /// What is different for some methods, by full name: `mainstreet.store.v1.StoreService/ImportPolls`.
    package var methods: [String: MethodLimits] = [:]
    /// Request bytes a connection may make us hold: the headers of calls, what no handler has taken, and the message
    /// each handler took last, as long as it was when inflated. Flow control alone cannot bound them: a message longer
    /// than the window completes only if its bytes are returned before. A call whose bytes come to more ends as
    /// RESOURCE_EXHAUSTED.
    package var maxBufferedBytes = 64 << 20
    /// The same for the server. A call whose bytes come to more ends as UNAVAILABLE, and so does one of a connection
    /// that holds more than is left, so that a few connections cannot take all.
    package var maxBufferedBytesPerServer = 512 << 20
    /// How long the request of a call that takes one message may be under way, from its headers to its end; nil: as
    /// long as it likes. Until then it holds memory for a handler that may never begin. A call over it is
    /// DEADLINE_EXCEEDED.
    package var requestTimeout: Duration? = .seconds(60)
    /// Response bytes a call may have queued before its writer suspends.
    package var maxOutboundBytes = 64 << 10
    /// Bytes of responses that the server keeps for peers that do not take them, beyond 64 KiB for each connection. A
    /// connection may have as much as is left, so that a few cannot take all. A call whose response would be more is
    /// reset. For one connection it is `http2.maxQueuedBytes`.
    package var maxQueuedBytesPerServer = 512 << 20
    package var maxConnections = 4096
    /// Whether responses are compressed, to clients that accept it. A handler decides otherwise for its call by
    /// `CallContext.responseEncoding`.
    package var responseCompression = ResponseCompression.inKind
    /// How long running calls have to finish once shutdown began. What is left then ends as UNAVAILABLE.
    package var shutdownGrace: Duration = .seconds(20)
    /// How long a peer has to read how its calls ended at the end of the grace.
    static let lastWords: Duration = .seconds(1)

    package init(address: RPCAddress) { self.address = address }
  }

  /// Decides whether a call may reach its handler; throws the `RPCError` to answer with. It is asked once the
  /// headers are here, before the peer may send a message, on the event loop: it must not wait for anything.
  package typealias Admission = @Sendable (CallContext, MethodDefinition) throws -> Void

  let core: ServerCore
  private let eventLoopGroup: any EventLoopGroup
  private let bound: EventLoopPromise<SocketAddress>

  package init(
    services: [ServiceDefinition], configuration: Configuration,
    eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
    admit: @escaping Admission, interceptors: [ServerInterceptor] = [], logger: Logger
  ) {
    core = ServerCore(
      methods: MethodTable(services, configuration: configuration, interceptors: interceptors),
      configuration: configuration, eventLoopGroup: eventLoopGroup, admit: admit, logger: logger)
    self.eventLoopGroup = eventLoopGroup
    bound = eventLoopGroup.any().makePromise()
  }

  deinit {
    // For a server that was never run; otherwise it has long been answered.
    bound.fail(CancellationError())
  }

  /// The address in use, once there is one: with port 0 the kernel chooses it.
  package var boundAddress: SocketAddress {
    get async throws { try await bound.futureResult.get() }
  }

  package func run() async throws {
    guard let tls = core.configuration.tls else { return try await serve() }
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { await tls.watch(logger: self.core.logger) }
      defer { group.cancelAll() }
      try await serve()
    }
  }

  private func serve() async throws {
    let close = try await listen()
    do {
      try await gracefulShutdown()
    } catch {
      // Cancelled without grace.
      await close()
      for connection in core.beginDraining() { connection.channel.close(promise: nil) }
      throw error
    }
    await close()
    await drain()
  }

  /// Begins to accept connections; returns how to stop that.
  private func listen() async throws -> @Sendable () async -> Void {
    try HTTP2Library.check()
    core.fitConnections()
    let address = core.configuration.address
    do {
      let listener: any Channel
      switch address {
      case .tcp(let host, let port):
        listener =
          try await bootstrap
          .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
          .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
          .bind(host: host, port: port).get()
      case .unix(let path):
        listener = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
      case .inProcess(let meeting):
        try open(meeting)
        listening(try SocketAddress(unixDomainSocketPath: ""))
        return { meeting.close() }
      }
      guard let localAddress = listener.localAddress else { throw ChannelError.unknownLocalAddress }
      listening(localAddress)
      return { try? await listener.close() }
    } catch {
      let error = ListenError(address: address, cause: error)
      bound.fail(error)
      throw error
    }
  }

  private func listening(_ address: SocketAddress) {
    bound.succeed(address)
    core.logger.info(
      "listening", metadata: ["address": "\(RPCAddress(address) ?? core.configuration.address)"])
  }

  private var bootstrap: ServerBootstrap {
    let core = core
    return ServerBootstrap(group: eventLoopGroup)
      .serverChannelOption(.backlog, value: 1024)
      // Between two reads of one connection the others get their turn.
      .childChannelOption(.maxMessagesPerRead, value: 1)
      // Kept for as long as the connection is: half of NIO's own choice, and it grows with what arrives.
      .childChannelOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 1024, maximum: 65536)
      )
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: core.logger))
        }
      }
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try core.accepted(channel) }
      }
  }

  private func open(_ meeting: InProcessListener) throws {
    let core = core
    let group = eventLoopGroup
    let isOpen = meeting.open { socket in
      // To NIO a socket that is connected already is a client's; nothing in the channel depends on it.
      _ = ClientBootstrap(group: group)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture { try core.accepted(channel) }
        }
        .withConnectedSocket(socket)
    }
    guard isOpen else { throw IOError(errnoCode: EADDRINUSE, reason: "listen") }
  }

  /// Lets the calls that run, and those under way to us, finish; what is left after the grace period is ended, and
  /// a connection that does not take even that is closed.
  private func drain() async {
    let connections = core.beginDraining()
    for connection in connections { connection.eventLoop.execute { connection.drain() } }
    let loop = eventLoopGroup.any()
    let grace = core.configuration.shutdownGrace
    let cutOff = loop.scheduleTask(in: TimeAmount(grace)) {
      for connection in connections { connection.eventLoop.execute { connection.cutOff() } }
    }
    let close = loop.scheduleTask(in: TimeAmount(grace + Configuration.lastWords)) {
      for connection in connections { connection.channel.close(promise: nil) }
    }
    try? await EventLoopFuture.andAllComplete(connections.map(\.channel.closeFuture), on: loop).get()
    cutOff.cancel()
    close.cancel()
  }
}

/// The server cannot listen: the port is taken, the path not writable, the host unknown.
package struct ListenError: Error, CustomStringConvertible {
  package let address: RPCAddress
  package let reason: String
  package var description: String { "cannot listen on \(address): \(reason)" }

  package init(address: RPCAddress, cause: any Error) {
    self.address = address
    reason = plainReason(cause)
  }
}
