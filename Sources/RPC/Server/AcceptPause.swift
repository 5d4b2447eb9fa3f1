package import Logging
package import NIOCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Leaves connections alone for a while after one could not be accepted for want of descriptors or memory. Until there
/// are some again the kernel would offer it over and over. For the pipeline of any listener.
///
/// NIO's `AcceptBackoffHandler` delays only reads that are asked for: one that has failed is still pending, and the
/// channel goes on with it.
package final class AcceptPause: ChannelInboundHandler {
  package typealias InboundIn = any Channel

  private static let duration = TimeAmount.seconds(1)

  private let logger: Logger
  /// `nil` while connections are accepted.
  private var end: Scheduled<Void>?

  package init(logger: Logger) {
    self.logger = logger
  }

  package func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard end == nil, let error = error as? IOError,
      [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode)
    else { return context.fireErrorCaught(error) }
    logger.warning("cannot accept connections", metadata: ["error": "\(error)"])
    let listener = context.channel
    try? listener.syncOptions?.setOption(.autoRead, value: false)
    end = context.eventLoop.assumeIsolated().scheduleTask(in: Self.duration) {
      self.end = nil
      try? listener.syncOptions?.setOption(.autoRead, value: true)
    }
  }

  /// The server listens no longer.
  package func handlerRemoved(context: ChannelHandlerContext) {
    end?.cancel()
  }
}
