package import NIOCore
package import RPC

extension Settings {
  /// `host:port` (port 0: the kernel chooses) or `unix:/path`.
  package func address(_ key: String) throws -> RPCAddress {
    do {
      return try RPCAddress(string(key))
    } catch let error as RPCAddressError {
      throw StartupFailure("\(name(key)): \(error)")
    }
  }
}

extension RPCAddress {
  /// An address in use, as a listener reports it.
  package init?(_ address: SocketAddress) {
    switch address {
    case .v4, .v6:
      guard let host = address.ipAddress, let port = address.port else { return nil }
      self = .tcp(host: host, port: port)
    case .unixDomainSocket:
      guard let path = address.pathname else { return nil }
      self = .unix(path: path)
    }
  }

  package func socketAddress() throws -> SocketAddress {
    switch self {
    case .tcp(let host, let port): try .makeAddressResolvingHost(host, port: port)
    case .unix(let path): try SocketAddress(unixDomainSocketPath: path)
    }
  }
}

extension Readiness {
  /// Tells that a listener is bound, e.g. `("grpc", 127.0.0.1:40123)`.
  package func announce(_ listener: String, at address: SocketAddress?) {
    guard let address = address.flatMap({ RPCAddress($0) }) else { return }
    announce(listener, at: address.description)
  }
}
