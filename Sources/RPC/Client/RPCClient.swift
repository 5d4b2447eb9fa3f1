package import HTTP2
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

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
    /// The limits and timers of each connection: windows, header lists, floods, keepalive, age.
    package var http2 = HTTP2Configuration()
    /// Request bytes a call may have queued before its writer suspends.
    package var maxOutboundBytes = 64 << 10
    /// Calls that may wait, per connection, for the peer to allow another stream.
    package var maxQueuedCalls = 1024
    package var connectTimeout: Duration = .seconds(5)
    package var backoff = Backoff()

    package init() {}
  }

  /// One per event loop.
  private let channels: [LoopChannel]
  private let next = Atomic(0)

  package init(
    target: RPCAddress, configuration: Configuration = Configuration(),
    eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger
  ) {
    channels = eventLoopGroup.makeIterator().map {
      LoopChannel(target: target, configuration: configuration, eventLoop: $0, logger: logger)
    }
  }

  /// Keeps the client usable until graceful shutdown, then lets its calls finish and closes its connections.
  package func run() async throws {
    try? await gracefulShutdown()
    let closing = channels.map { channel in
      channel.eventLoop.submit { channel.shutDown() }.flatMap { connections in
        let cutOff = channel.eventLoop.scheduleTask(in: Self.shutdownGrace) {
          for connection in connections { connection.close(promise: nil) }
        }
        return EventLoopFuture.andAllComplete(connections.map(\.closeFuture), on: channel.eventLoop)
          .always { _ in cutOff.cancel() }
      }
    }
    // All loops at once, within one grace.
    for closed in closing { try? await closed.get() }
  }

  private static let shutdownGrace = TimeAmount.seconds(5)

  /// A call under construction, on the loop the caller is on if it is one of ours, else on each in turn.
  func makeCall(path: String, metadata: Metadata, deadline: NIODeadline?) -> ClientCall {
    ClientCall(channel(), path: path, metadata: metadata, deadline: deadline)
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
