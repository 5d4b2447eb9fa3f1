package import NIOCore

/// Where a listener binds: `host:port` (port 0: the kernel chooses) or `unix:/path`.
package enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
  case tcp(host: String, port: Int)
  case unix(path: String)

  package init?(_ text: String) {
    if let path = text.wholeMatch(of: /unix:(?<path>.+)/)?.path {
      self = .unix(path: String(path))
      return
    }
    guard let colon = text.lastIndex(of: ":"),
      let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port)
    else { return nil }
    let host = text[..<colon].trimmingPrefix("[")
    self = .tcp(host: String(host.hasSuffix("]") ? host.dropLast() : host), port: port)
  }

  package var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  package func socketAddress() throws -> SocketAddress {
    switch self {
    case .tcp(let host, let port): try .makeAddressResolvingHost(host, port: port)
    case .unix(let path): try SocketAddress(unixDomainSocketPath: path)
    }
  }

  /// A bound address in the form that `init(_:)` reads.
  package static func text(of address: SocketAddress) -> String {
    if let path = address.pathname, address.protocol == .unix { return "unix:\(path)" }
    return ListenAddress.tcp(host: address.ipAddress ?? "", port: address.port ?? 0).description
  }

  /// Why a bind failed, in the operator's words.
  package static func reason(_ error: any Error) -> String {
    guard let error = error as? IOError else { return "\(error)" }
    return switch error.errnoCode {
    case 98, 48: "the address is in use by another process"
    case 13, 1: "not permitted for this user"
    case 99, 49: "this machine has no such address"
    default: error.description
    }
  }
}

extension Settings {
  package func listenAddress(_ key: String) throws -> ListenAddress {
    let text = try string(key)
    guard let address = ListenAddress(text) else {
      throw StartupFailure("\(name(key)) must be host:port or unix:/path, not \"\(text)\"")
    }
    return address
  }
}
