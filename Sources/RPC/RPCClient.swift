package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle

/// What a unary or client-streaming call answered.
package struct ClientResponse<Message: Sendable>: Sendable {
  package var message: Message
  package var initialMetadata: Metadata
  package var trailingMetadata: Metadata

  package init(message: Message, initialMetadata: Metadata = [:], trailingMetadata: Metadata = [:]) {
    self.message = message
    self.initialMetadata = initialMetadata
    self.trailingMetadata = trailingMetadata
  }
}

/// Calls a gRPC server over one connection per event loop. A call made on a loop uses that loop's connection.
package final class RPCClient: Service, Sendable {
  package struct Configuration: Sendable {
    /// Bytes of one response message.
    package var maxMessageBytes = 4 << 20
    /// Header bytes a response may have, counting 32 per field.
    package var maxHeaderListBytes = 8 << 10
    package var streamWindowBytes = 256 << 10
    package var connectionWindowBytes = 8 << 20
    /// Request bytes a call may have queued before its writer suspends.
    package var maxOutboundBytes = 64 << 10
    /// Calls that may wait, per connection, for the peer to allow another stream.
    package var maxQueuedCalls = 1024
    package var connectTimeout: Duration = .seconds(5)
    package var backoff = Backoff()

    package init() {}
  }

  package init(
    target: RPCAddress, configuration: Configuration = Configuration(),
    eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger
  ) {}

  /// Keeps the client usable until graceful shutdown, then closes its connections.
  package func run() async throws {}
}

/// Pause before the next connection attempt: exponential, with jitter.
package struct Backoff: Sendable {
  /// gRPC's own table (connection-backoff.md) starts at 1 s and ends at 120 s, made for servers across the
  /// Internet. Ours are a rack away, and one that restarted should be found within a second.
  package var initial: Duration = .milliseconds(100)
  package var maximum: Duration = .seconds(1)
  package var multiplier = 1.6
  package var jitter = 0.2

  package init() {}
}
