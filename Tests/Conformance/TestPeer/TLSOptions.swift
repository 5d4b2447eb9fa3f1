import ArgumentParser
import RPC

/// TLS where the program serves.
struct ServerTLSOptions: ParsableArguments {
  @Option(help: "Serve TLS with this certificate chain, a PEM file.")
  var tlsCertificate: String?

  @Option(help: "The certificate's private key, a PEM file.")
  var tlsKey: String?

  @Option(help: "Require certificates of clients, signed by an authority in this PEM file.")
  var tlsClientCa: String?

  @Option(help: "Seconds for a client to finish its handshake.")
  var tlsHandshakeTimeout: Double?

  var tls: ServerTLS? {
    get throws {
      guard let tlsCertificate, let tlsKey else { return nil }
      var tls = try ServerTLS(certificate: tlsCertificate, key: tlsKey, clientCA: tlsClientCa)
      if let tlsHandshakeTimeout { tls.handshakeTimeout = .seconds(tlsHandshakeTimeout) }
      return tls
    }
  }
}

/// TLS where the program calls.
struct ClientTLSOptions: ParsableArguments {
  @Option(help: "Connect by TLS to a server signed by an authority in this PEM file.")
  var tlsCa: String?

  @Option(help: "Show this certificate chain, a PEM file.")
  var tlsCertificate: String?

  @Option(help: "The certificate's private key, a PEM file.")
  var tlsKey: String?

  @Option(help: "The name the server's certificate must be made out to, if not the target's host.")
  var tlsServerName: String?

  var tls: ClientTLS? {
    get throws {
      guard let tlsCa else { return nil }
      var tls = try ClientTLS(ca: tlsCa, certificate: tlsCertificate, key: tlsKey)
      tls.serverName = tlsServerName
      return tls
    }
  }
}
