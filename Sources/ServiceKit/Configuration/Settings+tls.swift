package import RPC

extension Setting {
  /// What a program can be told about TLS where it serves: `grpc.tls.…` for a listener `grpc`.
  package static func serverTLS(_ listener: String) -> [Setting] {
    serverIdentity("\(listener).") + [
      Setting(
        "\(listener).tls.client.ca", optional: true,
        help: "Require a certificate of clients, signed by an authority in this PEM file (mTLS).")
    ]
  }

  /// The same for the listener of a program that the public calls, which has no certificates: `tls.…`.
  package static let publicTLS = serverIdentity("")

  private static func serverIdentity(_ prefix: String) -> [Setting] {
    [
      Setting(
        "\(prefix)tls.certificate", optional: true,
        help:
          "Serve TLS with this certificate, a PEM file, then those between it and the root. Read again on change."
      ),
      Setting(
        "\(prefix)tls.key", optional: true, help: "The certificate's private key, a PEM file, not encrypted."),
    ]
  }

  /// What a program can be told about TLS where it calls: `store.tls.…` for a target `store`.
  package static func clientTLS(_ target: String) -> [Setting] {
    [
      Setting(
        "\(target).tls.ca", optional: true,
        help:
          "Connect by TLS to a server signed by an authority in this PEM file; \"system\" for the machine's own."
      ),
      Setting(
        "\(target).tls.certificate", optional: true,
        help: "Show this certificate to servers that ask for one: a PEM file. Read again on change."),
      Setting(
        "\(target).tls.key", optional: true, help: "The certificate's private key, a PEM file, not encrypted."
      ),
      Setting(
        "\(target).tls.server.name", optional: true,
        help: "The name the server's certificate must be made out to, if not the target's host."),
    ]
  }
}

extension Settings {
  /// TLS as `Setting.serverTLS` has it; `nil` when nothing of it is set.
  package func serverTLS(_ listener: String) throws -> ServerTLS? {
    let clientCA = optional("\(listener).tls.client.ca")
    guard let identity = try tlsIdentity("\(listener).") else {
      guard clientCA == nil else {
        throw StartupFailure(
          "\(name("\(listener).tls.client.ca")) is set without \(name("\(listener).tls.certificate"))")
      }
      return nil
    }
    return try startingTLS(listener) {
      try ServerTLS(certificate: identity.certificate, key: identity.key, clientCA: clientCA)
    }
  }

  /// TLS as `Setting.publicTLS` has it, with HTTP/2 or HTTP/1.1 inside; `nil` when nothing of it is set.
  package func publicTLS() throws -> ServerTLS? {
    guard let identity = try tlsIdentity("") else { return nil }
    return try startingTLS("the public") {
      try ServerTLS(
        certificate: identity.certificate, key: identity.key, protocols: ["h2", "http/1.1"])
    }
  }

  /// TLS as `Setting.clientTLS` has it; `nil` when nothing of it is set.
  package func clientTLS(_ target: String) throws -> ClientTLS? {
    let identity = try tlsIdentity("\(target).")
    let serverName = optional("\(target).tls.server.name")
    guard let ca = optional("\(target).tls.ca") else {
      guard identity == nil, serverName == nil else {
        throw StartupFailure(
          "TLS for \(target) is set without \(name("\(target).tls.ca")); \"system\" stands for the machine's own"
        )
      }
      return nil
    }
    var tls = try startingTLS(target) {
      try ClientTLS(ca: ca == "system" ? nil : ca, certificate: identity?.certificate, key: identity?.key)
    }
    tls.serverName = serverName
    return tls
  }

  private func tlsIdentity(_ prefix: String) throws -> (certificate: String, key: String)? {
    switch (optional("\(prefix)tls.certificate"), optional("\(prefix)tls.key")) {
    case (nil, nil): return nil
    case (let certificate?, let key?): return (certificate, key)
    case (let certificate, _):
      let missing = certificate == nil ? "certificate" : "key"
      throw StartupFailure(
        "\(name("\(prefix)tls.\(missing)")) is not set; a certificate and its key go together")
    }
  }

  private func startingTLS<TLS>(_ prefix: String, _ make: () throws -> TLS) throws -> TLS {
    do {
      return try make()
    } catch {
      throw StartupFailure("TLS for \(prefix) cannot be used: \(error)")
    }
  }
}
