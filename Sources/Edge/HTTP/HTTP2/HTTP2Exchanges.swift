import HTTP2
import NIOCore
import RPC

/// A client connection of HTTP/2: its requests, each on a stream of its own. Frames, windows and floods are the HTTP2 module's
/// business (see `HTTP2Configuration`).
final class HTTP2Exchanges: HTTP2ConnectionDelegate {
  let core: HTTPCore
  let eventLoop: any EventLoop
  let isSecure: Bool
  let peer: SocketAddress?
  private let executor: EventLoopTaskExecutor
  private var http2: HTTP2Connection?
  private(set) var isDraining = false
  /// Tasks that run for the connection, also those whose stream has gone: a reset frees a stream at once, but not what was
  /// begun for it.
  private var runningTasks = 0
  /// Those whose headers came with what is being read.
  private var fresh: [HTTP2Exchange] = []

  init(_ core: HTTPCore, on eventLoop: any EventLoop, isSecure: Bool, peer: SocketAddress?) {
    self.core = core
    self.eventLoop = eventLoop
    self.isSecure = isSecure
    self.peer = peer
    executor = .current(on: eventLoop)
  }

  func start(in pipeline: ChannelPipeline.SynchronousOperations) throws {
    let http2 = HTTP2Connection(role: .server, configuration: .public(core.limits), delegate: self)
    self.http2 = http2
    try pipeline.addHandler(http2)
    if isDraining { http2.drain() }
  }

  func drain() {
    isDraining = true
    http2?.drain()
  }

  /// The channel has closed.
  func release() { http2 = nil }

  /// Whether another request may begin.
  var hasRoom: Bool { runningTasks < 2 * core.limits.streams }

  func began(_ exchange: HTTP2Exchange) { fresh.append(exchange) }
  func taskBegan() { runningTasks += 1 }
  func taskEnded() { runningTasks -= 1 }

  // MARK: From the connection

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
    HTTP2Exchange(stream, of: self)
  }

  func inboundBatchEnded() {
    for exchange in fresh { exchange.settle() }
    fresh.removeAll(keepingCapacity: true)
    // Whatever the batch resumed runs now, so that its answers share one write.
    executor.runReady()
  }

  func settingsReceived() {}
  func goAwayReceived() {}
  func connectionClosed() {}
}

extension HTTP2Configuration {
  /// For whoever may be at the other end. Browsers ping connections that they keep, and read slowly when their user does.
  static func `public`(_ limits: HTTPLimits) -> HTTP2Configuration {
    var configuration = HTTP2Configuration.server
    configuration.maxConcurrentStreams = limits.streams
    // It counts 32 for a field.
    configuration.maxHeaderListBytes = limits.headerBytes + 32 * limits.headerFields
    configuration.streamWindowBytes = 256 << 10
    configuration.connectionWindowBytes = 1 << 20
    configuration.maxQueuedBytes = 32 << 20
    configuration.minPingInterval = .seconds(1)
    configuration.minPingIntervalWithoutStreams = .seconds(1)
    configuration.maxPingStrikes = 10
    configuration.introductionTimeout = Duration(limits.headerDeadline)
    configuration.headerBlockTimeout = Duration(limits.headerDeadline)
    configuration.writeStallTimeout = Duration(limits.writeStallDeadline)
    configuration.windowStallTimeout = Duration(limits.writeStallDeadline)
    // Who does not answer the notice of an end within a few round trips is not asked again.
    configuration.drainNoticeTimeout = .seconds(2)
    configuration.idleTimeout = Duration(limits.idleDeadline)
    return configuration
  }
}
