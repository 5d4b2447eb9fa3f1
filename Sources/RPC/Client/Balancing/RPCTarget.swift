/// What a client calls: one server or several of a kind.
///
/// | text | addresses |
/// |---|---|
/// | `store:5001`, `dns:///store:5001` | all that DNS has for the name |
/// | `10.0.0.1:5001`, `[fd00::1]:5001`, `unix:/run/store.sock` | this one |
/// | `ipv4:10.0.0.1:5001,10.0.0.2:5001`, `ipv6:[fd00::1]:5001,…` | these |
/// | `a:5001,b:5001`, `unix:/run/a.sock,/run/b.sock` | these, and all that DNS has for the names |
package struct RPCTarget: Sendable, Hashable, CustomStringConvertible {
  /// At least one. A host may be a name, which stands for all its addresses.
  package let hosts: [RPCAddress]

  package init(_ address: RPCAddress) { hosts = [address] }

  package init(_ text: String) throws(RPCTargetError) {
    let (scheme, rest) = Self.split(text)
    var hosts: [RPCAddress] = []
    for part in rest.split(separator: ",", omittingEmptySubsequences: false) {
      // `unix:` may stand before the list or before each path.
      let name = scheme == .unix && !part.hasPrefix("unix:") ? "unix:\(part)" : String(part)
      let host: RPCAddress
      do { host = try RPCAddress(name) } catch {
        throw RPCTargetError(target: text, problem: "\(error)")
      }
      if let problem = scheme?.problem(with: host) {
        throw RPCTargetError(target: text, problem: problem)
      }
      if !hosts.contains(host) { hosts.append(host) }
    }
    guard hosts.count <= Self.maxHosts else {
      throw RPCTargetError(target: text, problem: "\(hosts.count) addresses are more than \(Self.maxHosts)")
    }
    self.hosts = hosts
  }

  /// Each of them costs a connection per event loop.
  package static let maxHosts = 256

  /// Nothing in it needs to be looked up.
  var isResolved: Bool {
    hosts.allSatisfy { if case .tcp(let host, _) = $0 { IPLiteral(host) != nil } else { true } }
  }

  /// What goes into `:authority`: of the first host.
  var authority: String {
    switch hosts[0] {
    case .tcp: hosts[0].description
    case .unix, .inProcess: "localhost"
    }
  }

  /// What a certificate must be made out to: the first host, or `nil` if that is an address like the others.
  var serverName: String? {
    switch hosts[0] {
    case .tcp(let host, _): IPLiteral(host) == nil ? host : nil
    case .unix, .inProcess: "localhost"
    }
  }

  package var description: String { hosts.map(\.description).joined(separator: ",") }

  private enum Scheme: String, CaseIterable {
    case dns, ipv4, ipv6, unix

    func problem(with host: RPCAddress) -> String? {
      switch (self, host) {
      case (.dns, .tcp), (.unix, .unix): nil
      case (.ipv4, .tcp(let host, _)) where IPLiteral(host) == .v4: nil
      case (.ipv6, .tcp(let host, _)) where IPLiteral(host) == .v6: nil
      default: "\(host) does not go with \"\(rawValue):\""
      }
    }
  }

  private static func split(_ text: String) -> (Scheme?, String) {
    for scheme in Scheme.allCases where text.hasPrefix("\(scheme.rawValue):") {
      var rest = text.dropFirst(scheme.rawValue.count + 1)
      // A name server may be named between the second and the third slash; we ask the system's.
      if rest.hasPrefix("//") { rest = rest.drop { $0 == "/" } }
      if scheme == .unix, text.hasPrefix("unix://") { rest = "/" + rest }
      // A host that is called like a scheme: `dns:5001`.
      if scheme != .unix, UInt16(rest) != nil { return (nil, text) }
      return (scheme, String(rest))
    }
    return (nil, text)
  }
}

package struct RPCTargetError: Error, CustomStringConvertible {
  package let target: String
  package let problem: String
  package var description: String { "\"\(target)\" is no target: \(problem)" }
}
