import HTTP2
import NIOCore
import NIOPosix
import NIOSSL

/// One HTTP/2 connection of a subchannel, from the attempt to make it to its end.
final class ClientConnection: HTTP2ConnectionDelegate, @unchecked Sendable {
  private let subchannel: Subchannel
  /// Holds this connection too, until `release`. Not `weak`: an object that ever had a weak reference is counted
  /// the slow way, and this one is counted several times per call.
  private(set) var http2: HTTP2Connection?
  private(set) var channel: (any Channel)?
  private var isReady = false
  private var introduction: Scheduled<Void>?
  private var readySince = NIODeadline.distantPast

  init(_ subchannel: Subchannel) {
    self.subchannel = subchannel
  }

  /// How long it has been of use.
  var age: Duration { .nanoseconds((NIODeadline.now() - readySince).nanoseconds) }

  /// The channel and its pipeline: what the bytes pass through on their way, such as TLS, goes in front of HTTP/2.
  func connect(to address: RPCAddress) -> EventLoopFuture<any Channel> {
    let bootstrap = ClientBootstrap(group: subchannel.eventLoop)
      .connectTimeout(TimeAmount(subchannel.configuration.connectTimeout))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try self.start(channel)
        }
      }
    do {
      switch address {
      case .tcp(let host, let port):
        // Names have been resolved, so nothing needs to be looked up.
        return bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
          .connect(to: try SocketAddress(ipAddress: host, port: port))
      case .unix(let path):
        return bootstrap.connect(unixDomainSocketPath: path)
      case .inProcess(let listener):
        return bootstrap.withConnectedSocket(try listener.connect())
      }
    } catch {
      return subchannel.eventLoop.makeFailedFuture(error)
    }
  }

  var isSecure: Bool { subchannel.configuration.tls != nil }

  private func start(_ channel: any Channel) throws {
    guard let tls = subchannel.configuration.tls else {
      return try channel.pipeline.syncOperations.addHandler(makeHTTP2())
    }
    let handler = try NIOSSLClientHandler(
      context: tls.contexts.current, serverHostname: subchannel.serverName)
    let handshake = TLSHandshake(
      of: handler, with: "server",
      within: TimeAmount(min(tls.handshakeTimeout, subchannel.configuration.connectTimeout)),
      succeeded: { _, _ in try channel.pipeline.syncOperations.addHandler(self.makeHTTP2()) },
      failed: { self.subchannel.failed(self, "\($0)") })
    try channel.pipeline.syncOperations.addHandlers([handler, handshake])
  }

  private func makeHTTP2() -> HTTP2Connection {
    var limits = subchannel.configuration.http2
    limits.keepaliveInterval = subchannel.keepaliveInterval
    let http2 = HTTP2Connection(role: .client, configuration: limits, delegate: self)
    self.http2 = http2
    return http2
  }

  /// The attempt has failed or the channel has closed.
  func release() {
    http2 = nil
  }

  func connected(_ channel: any Channel) {
    self.channel = channel
    let timeout = TimeAmount(subchannel.configuration.connectTimeout)
    guard !isReady else { return }
    introduction = channel.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
      if !self.isReady { channel.close(promise: nil) }
    }
  }

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
    preconditionFailure("nghttp2 lets no server open streams: push is off")
  }

  func inboundBatchEnded() {
    EventLoopTaskExecutor.current(on: subchannel.eventLoop).runReady()
  }

  func settingsReceived() {
    if isReady {
      subchannel.streamClosed()
    } else {
      isReady = true
      readySince = .now()
      introduction?.cancel()
      subchannel.ready(self)
    }
  }

  func goAwayReceived() {
    if http2?.wasToldToPingLess == true { subchannel.pingLess() }
    subchannel.retired(self)
  }

  func connectionClosed() {
    if isReady {
      subchannel.closed(self)
    } else {
      // Some servers refuse a client without a certificate by just closing.
      let hint =
        subchannel.configuration.tls?.isAnonymous == true ? "; it may require a client certificate" : ""
      subchannel.failed(self, http2?.closeReason ?? "the server closed the connection\(hint)")
    }
  }
}
