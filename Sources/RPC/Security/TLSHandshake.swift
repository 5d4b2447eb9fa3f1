import NIOCore
import NIOSSL
import NIOTLS

/// Stands between TLS and HTTP: lets it begin once the handshake is over and its result is one we want, and
/// says what went wrong in words, then and later.
///
/// With TLS 1.3 a client has finished its handshake before the server has seen the client's certificate: what the
/// server thinks of it comes as an error of the connection, which is why this stays in the pipeline.
final class TLSHandshake: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let tls: NIOSSLHandler
  /// What the other side is called in words.
  private let peer: String
  private let timeout: TimeAmount
  private let accepted: [String?]
  private let succeeded: (String?, NIOSSLCertificate?) throws -> Void
  private let failed: (TLSFailure) -> Void
  private var isOver = false
  private var deadline: Scheduled<Void>?

  /// - Parameters:
  ///   - peer: what the other side is called in words, `client` or `server`.
  ///   - accepted: the ALPN names that may come of it; `nil` for a peer that has named none.
  ///   - succeeded: adds what is spoken inside behind this; it gets its name and the peer's certificate.
  ///   - failed: called at most once, and not after `succeeded`; the channel closes by itself.
  init(
    of tls: NIOSSLHandler, with peer: String, within timeout: TimeAmount,
    accepting accepted: [String?] = ["h2"],
    succeeded: @escaping (String?, NIOSSLCertificate?) throws -> Void, failed: @escaping (TLSFailure) -> Void
  ) {
    self.tls = tls
    self.peer = peer
    self.timeout = timeout
    self.accepted = accepted
    self.succeeded = succeeded
    self.failed = failed
  }

  func handlerAdded(context: ChannelHandlerContext) {
    deadline = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
      self.fail(TLSFailure("the handshake was not over in \(Duration(self.timeout))"), context)
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    deadline?.cancel()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .handshakeCompleted(let negotiated)? = event as? TLSUserEvent, !isOver else {
      return context.fireUserInboundEventTriggered(event)
    }
    guard accepted.contains(negotiated) else { return fail(.noHTTP2, context) }
    end()
    do {
      try succeeded(negotiated, tls.peerCertificate)
    } catch {
      context.fireErrorCaught(error)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    let failure = TLSFailure(error, certificate: tls.peerCertificate)
    if isOver {
      // An end without TLS's own word for it is an end all the same; HTTP/2 has words of its own.
      if case NIOSSLError.uncleanShutdown = error { return }
      context.fireErrorCaught(failure?.naming(peer) ?? error)
    } else {
      fail(failure ?? TLSFailure("\(error)"), context)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    fail(.closed, context)
    context.fireChannelInactive()
  }

  private func fail(_ failure: TLSFailure, _ context: ChannelHandlerContext) {
    guard !isOver else { return }
    end()
    failed(failure.naming(peer))
    context.close(promise: nil)
  }

  private func end() {
    isOver = true
    deadline?.cancel()
    deadline = nil
  }
}
