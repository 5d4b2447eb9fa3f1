package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle

/// Serves gRPC on HTTP/2. `run()` listens, serves until graceful shutdown, then drains in two steps.
package final class RPCServer: Service, Sendable {
  /// Every limit of the server in one place.
  package struct Configuration: Sendable {
    package var address: RPCAddress

    /// Streams a connection may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS).
    package var maxConcurrentStreams = 256
    /// Handlers a connection may have running at once. A reset frees its stream at once but not its handler,
    /// so this is what bounds the work one peer can start.
    package var maxRunningHandlers = 512
    /// Header bytes a request may have, counting 32 per field as HPACK does.
    package var maxHeaderListBytes = 8 << 10
    /// Bytes of one request message.
    package var maxMessageBytes = 4 << 20
    /// Bytes a stream may receive ahead of its reader.
    package var streamWindowBytes = 256 << 10
    /// Bytes all streams of a connection may receive ahead of their readers: the most a peer can make us hold.
    package var connectionWindowBytes = 8 << 20
    /// Response bytes a call may have queued before its writer suspends.
    package var maxOutboundBytes = 64 << 10
    package var maxConnections = 4096
    /// How long running calls have to finish once shutdown began.
    package var shutdownGrace: Duration = .seconds(20)

    package init(address: RPCAddress) { self.address = address }
  }

  /// Decides whether a call may reach its handler; throws the `RPCError` to answer with.
  package typealias Admission = @Sendable (CallContext, MethodDefinition) throws -> Void

  package init(
    services: [ServiceDefinition], configuration: Configuration,
    eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
    admit: @escaping Admission, logger: Logger
  ) {}

  /// The address in use, once there is one: with port 0 the kernel chooses it.
  package var boundAddress: SocketAddress {
    get async throws { throw ListenError(address: .unix(path: ""), reason: "") }
  }

  package func run() async throws {}
}

/// The server cannot listen: the port is taken, the path not writable, the host unknown.
package struct ListenError: Error, CustomStringConvertible {
  package let address: RPCAddress
  package let reason: String
  package var description: String { "cannot listen on \(address): \(reason)" }
}
