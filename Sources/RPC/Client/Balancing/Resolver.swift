package import NIOCore
import NIOPosix

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Finds the addresses of a name. A closure, so that tests need no DNS.
package struct Resolver: Sendable {
  /// All addresses of the host, in the order they should be tried, or an error that says why there are none.
  package var addresses:
    @Sendable (_ host: String, _ port: Int, _ eventLoop: any EventLoop) -> EventLoopFuture<[RPCAddress]>

  package init(
    addresses:
      @escaping @Sendable (_ host: String, _ port: Int, _ eventLoop: any EventLoop) -> EventLoopFuture<
        [RPCAddress]
      >
  ) {
    self.addresses = addresses
  }

  /// The system's: `/etc/hosts`, DNS and what else it is set up with. It blocks, so it runs on a thread of the pool.
  package static let system = Resolver { host, port, eventLoop in
    NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { try lookUp(host, port) }
  }

  private static func lookUp(_ host: String, _ port: Int) throws -> [RPCAddress] {
    var hints = addrinfo()
    hints.ai_socktype = SOCK_STREAM_TYPE
    hints.ai_flags = AI_ADDRCONFIG
    var first: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(host, nil, &hints, &first)
    defer { first.map(freeaddrinfo) }
    guard result == 0 else {
      throw ResolutionError(host: host, problem: String(cString: gai_strerror(result)))
    }
    var addresses: [RPCAddress] = []
    var next = first
    while let info = next?.pointee {
      next = info.ai_next
      guard let socket = SocketAddress(info), let ip = socket.ipAddress else { continue }
      let address = RPCAddress.tcp(host: ip, port: port)
      if !addresses.contains(address) { addresses.append(address) }
    }
    return addresses
  }
}

package struct ResolutionError: Error, CustomStringConvertible {
  package let host: String
  package let problem: String
  package var description: String { "cannot resolve \(host): \(problem)" }
}

#if canImport(Glibc)
  private let SOCK_STREAM_TYPE = Int32(SOCK_STREAM.rawValue)
#else
  private let SOCK_STREAM_TYPE = SOCK_STREAM
#endif

extension SocketAddress {
  fileprivate init?(_ info: addrinfo) {
    guard let address = info.ai_addr else { return nil }
    switch info.ai_family {
    case AF_INET:
      self = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { SocketAddress($0.pointee) }
    case AF_INET6:
      self = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { SocketAddress($0.pointee) }
    default:
      return nil
    }
  }
}

/// An address written as a number.
enum IPLiteral {
  case v4, v6

  init?(_ host: String) {
    switch try? SocketAddress(ipAddress: host, port: 0) {
    case .v4: self = .v4
    case .v6: self = .v6
    default: return nil
    }
  }
}
