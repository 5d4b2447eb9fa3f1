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

  /// What a client calls: an address, a name with all addresses that DNS has for it, or a list (see `RPCTarget`).
  package func target(_ key: String) throws -> RPCTarget {
    do {
      return try RPCTarget(string(key))
    } catch let error as RPCTargetError {
      throw StartupFailure("\(name(key)): \(error)")
    }
  }
}

extension RPCAddress {
  package func socketAddress() throws -> SocketAddress {
    switch self {
    case .tcp(let host, let port): try .makeAddressResolvingHost(host, port: port)
    case .unix(let path): try SocketAddress(unixDomainSocketPath: path)
    case .inProcess: throw StartupFailure("an address inside the process is none to bind")
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
