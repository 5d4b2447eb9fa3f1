import Glibc
import NIOCore
import NIOHTTP1

/// Where a request came from.
struct ClientAddress: Sendable, Hashable {
  /// As an audit log shows it; empty when it is not known.
  let text: String
  /// What counts as one client: the address, or the /64 of IPv6, which is what a subscriber has of it.
  let network: String

  /// - Parameters:
  ///   - peer: whoever the connection is with.
  ///   - proxies: how many proxies of ours stand in front. Each appends to `X-Forwarded-For` whom it heard from, so that
  ///     many from the end are true, and whatever stands before them is the client's to invent.
  init(_ headers: HTTPHeaders, peer: SocketAddress?, proxies: Int) {
    var address = peer
    if proxies > 0 {
      let hops = headers["x-forwarded-for"].flatMap { $0.split(separator: ",") }
      if hops.count >= proxies {
        let hop = hops[hops.count - proxies].trimmingSpaces
        address = (try? SocketAddress(ipAddress: hop, port: 0)) ?? peer
      }
    }
    text = address?.ipAddress ?? ""
    network = Self.bytes(ofIPv6: text).map(Self.network) ?? text
  }

  private static func bytes(ofIPv6 text: String) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 16)
    return inet_pton(AF_INET6, text, &bytes) == 1 ? bytes : nil
  }

  private static func network(_ bytes: [UInt8]) -> String {
    // IPv4 within IPv6, as a socket of both kinds shows it.
    if bytes.starts(with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]) {
      return bytes[12...].map(String.init).joined(separator: ".")
    }
    return bytes[..<8].map { String($0, radix: 16) }.joined(separator: ":") + "/64"
  }
}

extension Substring {
  fileprivate var trimmingSpaces: String {
    String(drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
  }
}
