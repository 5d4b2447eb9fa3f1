package import NIOCore
import Synchronization

/// What a handler knows about its call besides the request, and what it may add to the response.
package final class CallContext: Sendable {
  /// Full path, e.g. `/mainstreet.store.v1.StoreService/GetStore`.
  package let method: String
  /// The request's metadata.
  package let metadata: Metadata
  /// When the caller stops waiting, if it said so. Pass it on to the calls made on its behalf.
  package let deadline: NIODeadline?
  /// The connection's loop, on which the handler runs.
  package let eventLoop: any EventLoop
  package let peer: SocketAddress?
  /// Who the caller is by the certificate of its connection, if the server asks for one.
  package let peerIdentity: PeerIdentity?
  /// Who the call acts for, as admission found. Written once, on the loop, before the handler begins, and never again.
  nonisolated(unsafe) package private(set) var caller: (any AnyObject & Sendable)?

  private let maxResponseBytes: Int
  private let acceptsGzip: Bool
  private let respondsWithGzip: Atomic<Bool>
  private let tookCompressed = Atomic(false)
  private let outgoing = Mutex(Outgoing())
  /// Most calls set none and need not take the lock, twice, to find that out.
  private let hasOutgoing = Atomic(false)

  private struct Outgoing {
    var initial = Metadata()
    var trailing = Metadata()
  }

  package init(
    method: String, metadata: Metadata, deadline: NIODeadline?, eventLoop: any EventLoop,
    peer: SocketAddress?, peerIdentity: PeerIdentity? = nil,
    maxResponseBytes: Int = .max, acceptsGzip: Bool = false, responseEncoding: MessageEncoding = .identity
  ) {
    self.method = method
    self.metadata = metadata
    self.deadline = deadline
    self.eventLoop = eventLoop
    self.peer = peer
    self.peerIdentity = peerIdentity
    self.maxResponseBytes = maxResponseBytes
    self.acceptsGzip = acceptsGzip
    respondsWithGzip = Atomic(responseEncoding == .gzip)
  }

  /// For admission alone, so that nothing has to find out again who is calling.
  package func identify(caller: some AnyObject & Sendable) {
    precondition(self.caller == nil, "a call has one caller")
    self.caller = caller
  }

  /// Time left until the deadline, never negative; `nil` without a deadline.
  package var remaining: Duration? {
    guard let deadline else { return nil }
    return .nanoseconds(Swift.max(0, (deadline - .now()).nanoseconds))
  }

  /// Sets a response header. Has no effect once the first message has been written.
  package func setInitialMetadata(_ name: String, _ value: String) {
    setOutgoing { $0.initial[name] = value }
  }

  /// Sets a response trailer, sent with the status.
  package func setTrailingMetadata(_ name: String, _ value: String) {
    setOutgoing { $0.trailing[name] = value }
  }

  package func setTrailingMetadata(_ name: String, _ value: [UInt8]) {
    setOutgoing { $0.trailing[binary: name] = value }
  }

  /// Whether the request message taken last came compressed.
  package internal(set) var isRequestCompressed: Bool {
    get { tookCompressed.load(ordering: .relaxed) }
    set { tookCompressed.store(newValue, ordering: .relaxed) }
  }

  /// How response messages travel. Set it before the first of them is written; `.gzip` has no effect for a client
  /// that does not accept it.
  package var responseEncoding: MessageEncoding {
    get { respondsWithGzip.load(ordering: .relaxed) ? .gzip : .identity }
    set { respondsWithGzip.store(newValue == .gzip && acceptsGzip, ordering: .relaxed) }
  }

  /// The message as it will travel. Compressing is work for the thread the handler is on, not always the loop's.
  func prepare(_ message: ByteBuffer, compressed: Bool = true) throws(RPCError) -> WireMessage {
    guard message.readableBytes <= maxResponseBytes else {
      throw RPCError(
        .resourceExhausted,
        "a response of \(message.readableBytes) bytes is over the limit of \(maxResponseBytes)")
    }
    return compressed && responseEncoding == .gzip
      ? WireMessage(compressing: message) : WireMessage(bytes: message)
  }

  package var initialMetadata: Metadata {
    hasOutgoing.load(ordering: .acquiring) ? outgoing.withLock { $0.initial } : Metadata()
  }

  package var trailingMetadata: Metadata {
    hasOutgoing.load(ordering: .acquiring) ? outgoing.withLock { $0.trailing } : Metadata()
  }

  private func setOutgoing(_ change: (inout sending Outgoing) -> Void) {
    outgoing.withLock { change(&$0) }
    hasOutgoing.store(true, ordering: .releasing)
  }
}
