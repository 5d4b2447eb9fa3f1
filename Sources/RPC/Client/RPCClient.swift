package import HTTP2
package import Logging
package import Metrics
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// What a unary or client-streaming call answered.
package struct ClientResponse<Message: Sendable>: Sendable {
  package var message: Message
  package var initialMetadata: Metadata
  package var trailingMetadata: Metadata
  /// Whether the message came compressed.
  package var isCompressed: Bool

  package init(
    message: Message, initialMetadata: Metadata = [:], trailingMetadata: Metadata = [:],
    isCompressed: Bool = false
  ) {
    self.message = message
    self.initialMetadata = initialMetadata
    self.trailingMetadata = trailingMetadata
    self.isCompressed = isCompressed
  }
}

/// Calls the gRPC servers of a target, over one connection per event loop and address. A call made on a loop uses that
/// loop's connections.
package final class RPCClient: Service, Sendable {
  package struct Configuration: Sendable {
    /// Bytes of one response message.
    package var maxMessageBytes = 4 << 20
    /// The limits and timers of each connection: windows, header lists, floods, keepalive, age.
    package var http2 = HTTP2Configuration.client
    /// Request bytes a call may have queued before its writer suspends.
    package var maxOutboundBytes = 64 << 10
    /// Calls that may wait, per event loop, for a connection or for a peer to allow another stream.
    package var maxQueuedCalls = 1024
    /// `nil` connects in plaintext.
    package var tls: ClientTLS?
    /// How requests travel, unless a call says otherwise. Responses are taken either way.
    package var compression = MessageEncoding.identity
    /// For the connection, and again for the server's first words on it.
    package var connectTimeout: Duration = .seconds(5)
    /// Between attempts to connect to one address, to resolve the target and to watch a server's health.
    package var backoff = Backoff()

    /// Which of the target's addresses a call goes to.
    package var balancing = Balancing.roundRobin
    package var resolution = Resolution()
    /// Asks each server how it is and calls only those that serve: the service to ask about, `""` for the server as a
    /// whole. `nil` does not ask (gRFC A17).
    package var healthService: String?
    /// Takes servers out of rotation whose calls fail. `nil` never does.
    package var outlierDetection: OutlierDetection? = OutlierDetection()
    /// After so long without a call the connections are closed, until the next one.
    package var idleTime: Duration = .seconds(30 * 60)
    /// How methods are called where their callers do not say.
    package var policies = CallPolicies()
    /// What all retries together may cost.
    package var retries = RetryLimits()
    /// Around every call, the first outermost.
    package var interceptors: [ClientInterceptor] = []
    /// Where calls are counted by method, and connections by target.
    package var metrics: any MetricsFactory = MetricsSystem.factory
    /// What calls get to finish when the client shuts down.
    package var shutdownGrace: Duration = .seconds(5)

    package init() {}

    package enum Balancing: Sendable, Hashable {
      /// All calls to the first that can be connected to, in the order given or, shuffled, in one that differs from
      /// client to client and from event loop to event loop.
      case pickFirst(shuffled: Bool)
      /// Calls to all in turn.
      case roundRobin
    }

    /// When the names in a target are looked up: before the first call, when a connection is lost or cannot be made, and
    /// once in an interval.
    package struct Resolution: Sendable {
      package var resolver = Resolver.system
      /// Finds servers that were added while nothing fails.
      package var interval: Duration = .seconds(60)
      /// Never more often than this, whatever fails.
      package var minimumInterval: Duration = .seconds(30)

      package init() {}
    }
  }

  /// One per event loop.
  private let channels: [LoopChannel]
  private let resolution: Resolution?
  let settings: CallSettings
  private let shutdownGrace: TimeAmount
  private let tls: ClientTLS?
  private let logger: Logger
  private let next = Atomic(0)

  package convenience init(
    target: RPCAddress, configuration: Configuration = Configuration(),
    eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger
  ) {
    self.init(
      target: RPCTarget(target), configuration: configuration, eventLoopGroup: eventLoopGroup, logger: logger)
  }

  package init(
    target: RPCTarget, configuration: Configuration = Configuration(),
    eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger
  ) {
    settings = CallSettings(configuration)
    shutdownGrace = TimeAmount(configuration.shutdownGrace)
    tls = configuration.tls
    self.logger = logger
    let resolution =
      target.isResolved
      ? nil
      : Resolution(target, configuration: configuration, eventLoop: eventLoopGroup.next(), logger: logger)
    self.resolution = resolution
    let metrics = ClientConnectionMetrics(target: target, factory: configuration.metrics)
    channels = eventLoopGroup.makeIterator().map {
      LoopChannel(
        target: target, resolution: resolution, configuration: configuration, eventLoop: $0, logger: logger,
        metrics: metrics)
    }
  }

  /// Keeps the client usable until graceful shutdown, then lets its calls finish and closes its connections.
  package func run() async throws {
    await withDiscardingTaskGroup { group in
      if let tls {
        group.addTask { [logger] in await tls.contexts.watch(every: tls.reloadInterval, logger: logger) }
      }
      try? await gracefulShutdown()
      group.cancelAll()
    }
    resolution?.stop()
    let closing = channels.map { channel in
      channel.eventLoop.submit { channel.shutDown() }.flatMap { [shutdownGrace] connections in
        let cutOff = channel.eventLoop.scheduleTask(in: shutdownGrace) {
          for connection in connections { connection.close(promise: nil) }
        }
        return EventLoopFuture.andAllComplete(connections.map(\.closeFuture), on: channel.eventLoop)
          .always { _ in cutOff.cancel() }
      }
    }
    // All loops at once, within one grace.
    for closed in closing { try? await closed.get() }
  }

  /// A call under construction, on the loop the caller is on if it is one of ours, else on each in turn.
  func makeCall(_ method: ClientMethod, _ options: CallOptions) -> ClientCall {
    ClientCall(channel(), settings, method, options)
  }

  private func channel() -> LoopChannel {
    if let current = MultiThreadedEventLoopGroup.currentEventLoop,
      let channel = channels.first(where: { $0.eventLoop === current })
    {
      return channel
    }
    let turn = next.wrappingAdd(1, ordering: .relaxed).newValue
    return channels[abs(turn % channels.count)]
  }
}
