package import NIOCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where a server listens or a client connects: `127.0.0.1:5001`, `[::1]:5001`, `store.internal:5001`,
/// `unix:/run/store.sock` or a bare absolute path.
package enum RPCAddress: Sendable, Hashable, CustomStringConvertible {
  case tcp(host: String, port: Int)
  case unix(path: String)
  /// Inside this process; has no textual form that can be read back.
  case inProcess(InProcessListener)

  package init(_ text: String) throws(RPCAddressError) {
    if text.hasPrefix("unix:") {
      self = .unix(path: String(text.dropFirst("unix:".count)))
    } else if text.hasPrefix("/") {
      self = .unix(path: text)
    } else {
      guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
        throw RPCAddressError(text: text)
      }
      var host = text[..<colon]
      if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
      guard !host.isEmpty else { throw RPCAddressError(text: text) }
      self = .tcp(host: String(host), port: Int(port))
    }
    if case .unix(path: "") = self { throw RPCAddressError(text: text) }
  }

  /// An address in use, as a listener reports it.
  package init?(_ address: SocketAddress) {
    switch address {
    case .v4, .v6:
      guard let host = address.ipAddress, let port = address.port else { return nil }
      self = .tcp(host: host, port: port)
    case .unixDomainSocket:
      guard let path = address.pathname, !path.isEmpty else { return nil }
      self = .unix(path: path)
    }
  }

  package var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    case .inProcess: "in process"
    }
  }
}

package struct RPCAddressError: Error, CustomStringConvertible {
  package let text: String
  package var description: String { "\"\(text)\" is no address; use HOST:PORT, [IPV6]:PORT or unix:/PATH" }
}

/// What is wrong with an address in use. NIO's text begins with the system call and its arguments; the operator asks
/// only for the rest.
func plainReason(_ cause: any Error) -> String {
  guard let cause = cause as? IOError, let text = strerror(cause.errnoCode) else { return "\(cause)" }
  return String(cString: text)
}
