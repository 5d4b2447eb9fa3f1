import NIOCore
import NIOSSL

/// Whom a client believes to be its server, and how it proves who it is itself. TLS 1.2 or 1.3, and HTTP/2 by ALPN.
///
/// The files are PEM, and are read again when they change, as those of `ServerTLS`.
package struct ClientTLS: Sendable {
  /// The name a server's certificate must be made out to, if not the target's own host.
  package var serverName: String?
  /// A server that has not finished its handshake by then is given up.
  package var handshakeTimeout: Duration = .seconds(10)
  /// How often the files are looked at.
  package var reloadInterval: Duration = .seconds(5)

  let contexts: ReloadingContext
  /// It has no certificate to show.
  let isAnonymous: Bool

  /// - Parameters:
  ///   - ca: whom the client believes about servers; without it, whom this machine does.
  ///   - certificate: the client's certificate, then those between it and the root, for servers that ask for one.
  ///   - key: its private key, not encrypted.
  /// - Throws: `TLSFileError`, which names the file and its fault.
  package init(ca: String? = nil, certificate: String? = nil, key: String? = nil) throws {
    guard (certificate == nil) == (key == nil) else {
      throw TLSFileError(
        file: certificate ?? key ?? "", fault: "a certificate and its key go together; one is missing")
    }
    isAnonymous = certificate == nil
    contexts = try ReloadingContext(files: [ca, certificate, key].compactMap(\.self)) {
      var configuration = TLSConfiguration.makeClientConfiguration()
      if let ca { configuration.trustRoots = .certificates(try PEMFile.certificates(in: ca)) }
      if let certificate, let key {
        let (chain, privateKey) = try PEMFile.identity(certificate: certificate, key: key)
        configuration.certificateChain = chain.map { .certificate($0) }
        configuration.privateKey = .privateKey(privateKey)
      }
      configuration.applicationProtocols = ["h2"]
      return try NIOSSLContext(house: configuration, certificate: certificate, key: key)
    }
  }

  /// Looks at the files now.
  /// - Returns: whether there was something new.
  /// - Throws: `TLSFileError`; what was read before stays in use.
  @discardableResult
  package func reload() throws -> Bool { try contexts.reload() }
}
