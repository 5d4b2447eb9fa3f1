import NIOCore

/// Leaves connections alone for a while after one could not be accepted. Until there are descriptors again the kernel
/// would offer it over and over.
///
/// NIO's `AcceptBackoffHandler` delays only reads that are asked for: one that has failed is still pending, and the
/// channel goes on with it.
final class AcceptPause: ChannelInboundHandler {
  typealias InboundIn = any Channel

  private let duration: (IOError) -> TimeAmount?
  /// `nil` while connections are accepted.
  private var end: Scheduled<Void>?

  /// `duration` says how long to wait after an error, if it is one of those that pass.
  init(duration: @escaping (IOError) -> TimeAmount?) {
    self.duration = duration
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard end == nil, let error = error as? IOError, let pause = duration(error) else {
      return context.fireErrorCaught(error)
    }
    let listener = context.channel
    try? listener.syncOptions?.setOption(.autoRead, value: false)
    end = context.eventLoop.assumeIsolated().scheduleTask(in: pause) {
      self.end = nil
      try? listener.syncOptions?.setOption(.autoRead, value: true)
    }
  }

  /// The server listens no longer.
  func handlerRemoved(context: ChannelHandlerContext) {
    end?.cancel()
  }
}
