import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where clients meet a server of their own process, without a port or a file: give it to both as
/// `RPCAddress.inProcess`.
///
/// A connection is a pair of sockets of which each side's event loop adopts one end, so everything above it, flow
/// control and drain included, is as on any other connection.
package final class InProcessListener: Sendable {
  typealias Accept = @Sendable (NIOBSDSocket.Handle) -> Void

  private let accept = Mutex<Accept?>(nil)

  package init() {}

  /// False when another server listens here.
  func open(_ accept: @escaping Accept) -> Bool {
    self.accept.withLock { current in
      guard current == nil else { return false }
      current = accept
      return true
    }
  }

  func close() {
    accept.withLock { $0 = nil }
  }

  /// The client's end of a new connection; the server has the other.
  func connect() throws -> NIOBSDSocket.Handle {
    guard let accept = accept.withLock({ $0 }) else {
      throw IOError(errnoCode: ECONNREFUSED, reason: "no server listens")
    }
    var ends: [NIOBSDSocket.Handle] = [-1, -1]
    guard socketpair(AF_UNIX, Self.stream, 0, &ends) == 0 else {
      throw IOError(errnoCode: errno, reason: "socketpair")
    }
    accept(ends[1])
    return ends[0]
  }

  #if canImport(Glibc)
    private static let stream = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
  #else
    private static let stream = SOCK_STREAM
  #endif
}

extension InProcessListener: Hashable {
  package static func == (one: InProcessListener, other: InProcessListener) -> Bool { one === other }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
