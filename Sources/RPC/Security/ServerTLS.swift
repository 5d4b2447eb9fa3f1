package import Logging
package import NIOCore
import NIOSSL

/// How a server proves who it is, and what it wants to know of its clients. TLS 1.2 or 1.3, and HTTP/2 by ALPN.
///
/// The files are PEM. They are read again when they change, without a restart: new connections get what is new, those
/// there are go on. Files that are wrong then are logged and change nothing.
package struct ServerTLS: Sendable {
  /// What becomes of a client that shows no certificate. One it does show must be good either way.
  package enum ClientCertificate: Sendable {
    case required
    case optional
  }

  /// A client that has not finished its handshake by then is cut off.
  package var handshakeTimeout: Duration = .seconds(10)
  /// How often the files are looked at.
  package var reloadInterval: Duration = .seconds(5)

  let contexts: ReloadingContext
  private let protocols: [String]
  let failures = HandshakeFailureLog()

  /// - Parameters:
  ///   - certificate: the server's certificate, then those between it and the root.
  ///   - key: its private key, not encrypted.
  ///   - clientCA: whom the server believes about clients; without it clients are not asked for certificates.
  ///   - protocols: what is spoken inside, by its ALPN name, the best first. With `http/1.1` among them, that is also what a
  ///     client speaks that names none.
  /// - Throws: `TLSFileError`, which names the file and its fault.
  package init(
    certificate: String, key: String, clientCA: String? = nil,
    clientCertificate: ClientCertificate = .required, protocols: [String] = ["h2"]
  ) throws {
    self.protocols = protocols
    contexts = try ReloadingContext(files: [certificate, key, clientCA].compactMap(\.self)) {
      let (chain, privateKey) = try PEMFile.identity(certificate: certificate, key: key)
      var configuration = TLSConfiguration.makeServerConfiguration(
        certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
      if let clientCA {
        configuration.trustRoots = .certificates(try PEMFile.certificates(in: clientCA))
        // A client has no host name to be checked.
        configuration.certificateVerification =
          switch clientCertificate {
          case .required: .noHostnameVerification
          case .optional: .optionalVerification
          }
        configuration.sendCANameList = true
      }
      configuration.applicationProtocols = protocols
      return try NIOSSLContext(house: configuration, certificate: certificate, key: key)
    }
  }

  /// Looks at the files now.
  /// - Returns: whether there was something new.
  /// - Throws: `TLSFileError`; what was read before stays in use.
  @discardableResult
  package func reload() throws -> Bool { try contexts.reload() }

  /// Reads the files again whenever they have changed, until it is cancelled.
  package func watch(logger: Logger) async { await contexts.watch(every: reloadInterval, logger: logger) }

  /// Puts TLS into the pipeline of a connection that was just accepted; for servers that are not gRPC's. The channel
  /// closes by itself when the handshake fails.
  ///
  /// - Parameter negotiated: adds what is spoken inside to the pipeline; it gets its ALPN name, `nil` from a client that
  ///   has named none.
  package func secure(
    _ channel: any Channel, logger: Logger, negotiated: @escaping (String?) throws -> Void
  ) throws {
    let peer = channel.remoteAddress
    try secure(
      channel, succeeded: { name, _ in try negotiated(name) },
      failed: { [failures] in failures.record($0, peer: peer, logger: logger) })
  }

  func secure(
    _ channel: any Channel, succeeded: @escaping (String?, NIOSSLCertificate?) throws -> Void,
    failed: @escaping (TLSFailure) -> Void
  ) throws {
    let handler = NIOSSLServerHandler(context: contexts.current)
    let accepted = protocols.map(Optional.some) + (protocols.contains("http/1.1") ? [nil] : [])
    let handshake = TLSHandshake(
      of: handler, with: "client", within: TimeAmount(handshakeTimeout), accepting: accepted,
      succeeded: succeeded, failed: failed)
    try channel.pipeline.syncOperations.addHandlers([handler, handshake])
  }
}
