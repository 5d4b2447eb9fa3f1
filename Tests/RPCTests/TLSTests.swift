import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import Testing

@testable import RPC

@Suite("TLS") struct TLSTests {
  let certificates: Certificates
  init() throws { certificates = try Certificates() }

  private func server(
    _ name: String = "server", clientCA: String? = "authority",
    clientCertificate: ServerTLS.ClientCertificate = .required
  ) throws -> ServerTLS {
    try ServerTLS(
      certificate: certificates.path("\(name).pem"), key: certificates.path("\(name).key"),
      clientCA: clientCA.map { certificates.path("\($0).pem") }, clientCertificate: clientCertificate)
  }

  private func client(
    _ name: String? = "client", ca: String = "authority", serverName: String? = nil
  ) throws -> RPCClient.Configuration {
    var tls = try ClientTLS(
      ca: certificates.path("\(ca).pem"), certificate: name.map { certificates.path("\($0).pem") },
      key: name.map { certificates.path("\($0).key") })
    tls.serverName = serverName
    var configuration = RPCClient.Configuration()
    configuration.tls = tls
    return configuration
  }

  /// Answers with who is calling.
  private static let who = MethodDefinition.unary("Who") { _, context in
    guard let identity = context.peerIdentity else { return ByteBuffer(string: "nobody") }
    return ByteBuffer(string: "\(identity.commonName ?? "-") \(identity)")
  }

  private func who(_ client: RPCClient) async throws -> String {
    String(buffer: try await client.unary(path: "/test.Service/Who", request: ByteBuffer()).message)
  }

  @Test(
    "tells the server who the client is, and the other way round",
    arguments: [nil, "store.test", "localhost"])
  func mutual(serverName: String?) async throws {
    let tls = try server()
    let answer = try await withLoopback(
      [Self.who], configure: { $0.tls = tls }, client: try client(serverName: serverName)
    ) { try await who($0) }
    #expect(answer == "client edge.test, spiffe://mainstreet/edge, edge@mainstreet.test")
  }

  @Test("needs no certificate of a client that is not asked for one, or not required to have one")
  func optional() async throws {
    for tls in [try server(clientCA: nil), try server(clientCertificate: .optional)] {
      let answer = try await withLoopback([Self.who], configure: { $0.tls = tls }, client: try client(nil)) {
        try await who($0)
      }
      #expect(answer == "nobody")
    }
  }

  @Test("carries large messages and streams both ways")
  func streams() async throws {
    let tls = try server()
    let message = ByteBuffer(repeating: 7, count: 1_000_000)
    let count = try await withLoopback([.echoAll], configure: { $0.tls = tls }, client: try client()) {
      client in
      try await client.stream(path: "/test.Service/EchoAll") { requests in
        for _ in 0..<10 { try await requests.write(message) }
      } responses: { responses in
        var count = 0
        for try await response in responses {
          #expect(response == message)
          count += 1
        }
        return count
      }
    }
    #expect(count == 10)
  }

  @Test("works on a Unix socket, where the server's name is localhost")
  func unixSocket() async throws {
    let tls = try server()
    let address = RPCAddress.unix(path: certificates.path("rpc.sock"))
    let answer = try await withLoopback(
      [Self.who],
      configure: {
        $0.tls = tls
        $0.address = address
      }, client: try client()
    ) { try await who($0) }
    #expect(answer.hasPrefix("client "))
  }

  struct Refusal: Sendable {
    var server = "server"
    var client: String? = "client"
    var ca = "authority"
    var serverName: String?
    /// What the client says, and what the server logs.
    let clientSays: String
    var serverSays: String?
  }

  @Test(
    "refuses whom it should not believe, and both sides say why",
    arguments: [
      Refusal(
        ca: "other-authority",
        clientSays: "the server's certificate is from an unknown certificate authority",
        serverSays: "the client says our certificate is from an unknown certificate authority"),
      Refusal(
        server: "expired-server", clientSays: "the server's certificate has expired",
        serverSays: "the client says our certificate has expired"),
      Refusal(
        server: "named-server", serverName: "elsewhere.test",
        clientSays: "the server's certificate is not made out to the host that was asked for (store.test)"),
      Refusal(
        client: nil, clientSays: "the server requires a certificate, and we have shown none",
        serverSays: "the client has shown no certificate, and one is required"),
      Refusal(
        client: "stranger",
        clientSays: "the server says our certificate is from an unknown certificate authority",
        serverSays: "the client's certificate is from an unknown certificate authority"),
      Refusal(
        client: "expired-client", clientSays: "the server says our certificate has expired",
        serverSays: "the client's certificate has expired"),
    ])
  func refused(refusal: Refusal) async throws {
    try certificates.issue("expired-server", days: nil)
    try certificates.issue("expired-client", days: nil)
    try certificates.issue("stranger", by: "other-authority")
    try certificates.issue("named-server", names: "DNS:store.test")
    let tls = try server(refusal.server)
    let lines = LogLines()
    let configuration = try client(refusal.client, ca: refusal.ca, serverName: refusal.serverName)
    try await withServer([Self.who], configure: { $0.tls = tls }, logger: lines.logger) { address in
      let error = await status {
        try await withClient(address, configuration: configuration) { try await who($0) }
      }
      #expect(error == RPCError(.unavailable, "cannot connect to \(address): \(refusal.clientSays)"))
      // To the server the handshake was over when the client compared the names.
      if let words = refusal.serverSays { await lines.wait(for: "TLS handshake failed: \(words)") }
    }
  }

  @Test("is not mistaken for plaintext, nor plaintext for TLS")
  func plaintext() async throws {
    let tls = try server()
    let lines = LogLines()
    try await withServer([Self.who], configure: { $0.tls = tls }, logger: lines.logger) { address in
      let error = await status { try await withClient(address) { try await who($0) } }
      #expect(error?.code == .unavailable)
      await lines.wait(for: "TLS handshake failed: the client does not speak TLS")
    }
    let error = try await withLoopback([Self.who], client: try client()) { client in
      await status { try await who(client) }
    }
    #expect(error?.message.contains("the server does not speak TLS") == true)
  }

  @Test("is refused without HTTP/2 in ALPN, and the log says so", arguments: [[], ["http/1.1"]])
  func alpn(protocols: [String]) async throws {
    let tls = try server(clientCA: nil)
    let lines = LogLines()
    try await withServer([Self.who], configure: { $0.tls = tls }, logger: lines.logger) { address in
      let peer = try await RawTLSClient.connect(
        to: address, ca: certificates.path("authority.pem"), protocols)
      try await peer.closed()
      await lines.wait(for: "TLS handshake failed: the client does not offer HTTP/2 (ALPN h2)")
    }
  }

  @Test("A client that does not get on with its handshake is cut off")
  func slowHandshake() async throws {
    var tls = try server()
    tls.handshakeTimeout = .milliseconds(20)
    let lines = LogLines()
    try await withServer([Self.who], configure: { [tls] in $0.tls = tls }, logger: lines.logger) { address in
      guard case .tcp(let host, let port) = address else { return }
      let channel = try await ClientBootstrap(group: loops.client).connect(host: host, port: port).get()
      try await channel.closeFuture.get()
      await lines.wait(for: "TLS handshake failed: the handshake was not over in 0.02 seconds")
    }
  }

  @Test(
    "A certificate replaced on disk is served to new connections; old ones go on; a broken one changes nothing"
  )
  func reload() async throws {
    let tls = try server()
    let configuration = try client()
    try await withServer([Self.who], configure: { $0.tls = tls }) { address in
      func shown() async throws -> [UInt8] {
        let peer = try await RawTLSClient.connect(to: address, ca: certificates.path("authority.pem"), ["h2"])
        let serialNumber = await peer.serialNumber
        try? await peer.channel.close()
        return serialNumber
      }
      try await withClient(address, configuration: configuration) { old in
        _ = try await who(old)
        let first = try await shown()
        #expect(try tls.reload() == false)
        #expect(try await shown() == first)

        try certificates.issue("server")
        #expect(try tls.reload())
        let second = try await shown()
        #expect(second != first)
        _ = try await who(old)

        try Data("nonsense".utf8).write(to: URL(filePath: certificates.path("server.pem")))
        let file = certificates.path("server.pem")
        #expect(throws: TLSFileError(file: file, fault: "no certificate in PEM")) { try tls.reload() }
        #expect(try tls.reload() == false)
        #expect(try await shown() == second)

        try certificates.issue("server")
        #expect(try tls.reload())
        #expect(try await shown() != second)
        _ = try await who(old)
      }
    }
  }

  @Test("Whom the server believes about clients, and a client's own certificate, are read again as well")
  func reloadTrust() async throws {
    let tls = try server()
    try certificates.issue("stranger", by: "other-authority")
    let stranger = try client("stranger")
    try await withServer([Self.who], configure: { $0.tls = tls }) { address in
      let before = await status {
        try await withClient(address, configuration: stranger) { try await who($0) }
      }
      #expect(before?.code == .unavailable)

      try certificates.issue("stranger")
      #expect(try stranger.tls?.reload() == true)
      let renewed = try await withClient(address, configuration: stranger) { try await who($0) }
      #expect(renewed.hasPrefix("stranger "))

      let other = try Data(contentsOf: URL(filePath: certificates.path("other-authority.pem")))
      try other.write(to: URL(filePath: certificates.path("authority.pem")))
      #expect(try tls.reload())
      let after = await status {
        try await withClient(address, configuration: stranger) { try await who($0) }
      }
      #expect(after?.code == .unavailable)
    }
  }

  @Test("Files that cannot be used are named with their fault")
  func faults() throws {
    let path = certificates.path
    try certificates.issue("other")
    try Data().write(to: URL(filePath: path("empty")))
    try Data("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".utf8)
      .write(to: URL(filePath: path("broken.pem")))
    let good = (path("server.pem"), path("server.key"))
    let cases: [(certificate: String, key: String, ca: String?, file: String, fault: String)] = [
      (path("none.pem"), good.1, nil, path("none.pem"), "No such file or directory"),
      (good.0, path("none.key"), nil, path("none.key"), "No such file or directory"),
      (good.0, good.1, path("none.pem"), path("none.pem"), "No such file or directory"),
      (path(""), good.1, nil, path(""), "Is a directory"),
      (path("empty"), good.1, nil, path("empty"), "empty"),
      (path("broken.pem"), good.1, nil, path("broken.pem"), "no certificate in PEM"),
      (good.1, good.1, nil, good.1, "no certificate in PEM"),
      (good.0, good.0, nil, good.0, "no private key in PEM, or one that is encrypted"),
      (good.0, path("other.key"), nil, path("other.key"), "not the key of the certificate in \(good.0)"),
      (good.0, good.1, path("server.key"), path("server.key"), "no certificate in PEM"),
    ]
    for expected in cases {
      #expect(throws: TLSFileError(file: expected.file, fault: expected.fault)) {
        _ = try ServerTLS(certificate: expected.certificate, key: expected.key, clientCA: expected.ca)
      }
    }
    #expect(throws: TLSFileError.self) { _ = try ClientTLS(certificate: good.0) }
  }

  @Test("Failed handshakes are told once a minute for each cause, and how many were not told")
  func failureLog() {
    let log = HandshakeFailureLog()
    let start = NIODeadline.now()
    let closed = (0..<100).map { log.count(.closed, now: start + .seconds($0 % 59)) }
    #expect(closed == [0] + Array(repeating: nil, count: 99))
    #expect(log.count(.noHTTP2, now: start) == 0)
    #expect(log.count(.closed, now: start + .seconds(60)) == 99)
    for index in 0..<1000 { _ = log.count(TLSFailure("\(index)"), now: start + .seconds(60)) }
    #expect(log.count(TLSFailure("another"), now: start + .seconds(61)) == nil)
    #expect(log.count(TLSFailure("another"), now: start + .seconds(120)) == 0)
  }
}

/// A client that speaks TLS and nothing in it.
private struct RawTLSClient: Sendable {
  let channel: any Channel
  private let certificate: EventLoopFuture<[UInt8]>

  static func connect(to address: RPCAddress, ca: String, _ protocols: [String]) async throws -> RawTLSClient
  {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.trustRoots = .file(ca)
    configuration.applicationProtocols = protocols
    let context = try NIOSSLContext(configuration: configuration)
    guard case .tcp(let host, let port) = address else { throw ChannelError.unknownLocalAddress }
    let shown = loops.client.any().makePromise(of: [UInt8].self)
    let channel = try await ClientBootstrap(group: loops.client)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let tls = try NIOSSLClientHandler(context: context, serverHostname: nil)
          try channel.pipeline.syncOperations.addHandlers([tls, Watcher(tls: tls, shown: shown)])
        }
      }
      .connect(host: host, port: port).get()
    return RawTLSClient(channel: channel, certificate: shown.futureResult)
  }

  /// Of the server's certificate.
  var serialNumber: [UInt8] {
    get async { (try? await certificate.get()) ?? [] }
  }

  func closed() async throws { try await channel.closeFuture.get() }

  private final class Watcher: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let tls: NIOSSLHandler
    let shown: EventLoopPromise<[UInt8]>

    init(tls: NIOSSLHandler, shown: EventLoopPromise<[UInt8]>) {
      self.tls = tls
      self.shown = shown
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      if case .handshakeCompleted? = event as? TLSUserEvent {
        shown.succeed(tls.peerCertificate?.serialNumber ?? [])
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      shown.fail(error)
      context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { shown.fail(ChannelError.eof) }
  }
}
