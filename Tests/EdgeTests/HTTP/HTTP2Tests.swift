import HTTP2
import NIOCore
import NIOSSL
import RPC
import Testing

@testable import Edge

/// HTTP/2 for the public: by TLS and ALPN beside HTTP/1.1, or in plaintext where that is wanted. The frames themselves are
/// tested where they are made.
@Suite struct PublicHTTP2Tests {
  static let path = "/stores/\(EdgeUnderTest.tenant)"
  static let getStore = HTTP1ConnectionTests.getStore

  private func withClient<Result: Sendable>(
    _ methods: [MethodDefinition], limits: HTTPLimits = .patient, callLimits: Gateway.Limits = .init(),
    cors: CORS = .none, body: (HTTP2Client) async throws -> Result
  ) async throws -> Result {
    try await withEdge(methods, limits: limits, callLimits: callLimits, cors: cors, takesPlaintextHTTP2: true)
    { edge in
      let client = try await HTTP2Client.connect(to: edge.address, tls: nil)
      let result = try await body(client)
      try? await client.close()
      return result
    }
  }

  @Test("Requests are answered side by side, as they are by HTTP/1.1")
  func requests() async throws {
    try await withClient([Self.getStore]) { client in
      async let first = client.request("GET", Self.path)
      async let second = client.request("GET", "/nowhere", headers: [("x-request-id", "mine")])
      async let third = client.request("HEAD", Self.path)
      let (found, missing, head) = try await (first, second, third)
      #expect(found.status == 200)
      #expect(found.member("storeId") == EdgeUnderTest.tenant)
      #expect(found["content-length"] == "\(found.bytes.count)")
      #expect(missing.status == 404)
      #expect(missing.member("code") == "ROUTE_NOT_FOUND")
      #expect(missing["x-request-id"] == "mine")
      #expect(head.status == 200)
      #expect(head["content-length"] == found["content-length"])
      #expect(head.bytes.isEmpty)
      for name in ["content-security-policy", "x-content-type-options", "date", "cache-control", "etag"] {
        #expect(found[name] != nil)
      }
      for name in ["connection", "transfer-encoding", "keep-alive", "strict-transport-security"] {
        #expect(found[name] == nil)
      }
      #expect(found.headers.allSatisfy { $0.name == $0.name.lowercased() })
    }
  }

  @Test("A body arrives whole, and trailers mean nothing")
  func body() async throws {
    let create = MethodDefinition.unary("CreateStore") { request, _ in request }
    try await withClient([create]) { client in
      let call = try await client.begin("POST", "/stores", isHeld: true)
      for piece in ["{\"na", "me\":", "\"A\"}"] { try await call.send(piece) }
      try await call.end(trailers: [("x-checksum", "1"), ("host", "evil")])
      let response = try await call.response()
      #expect(response.status == 201)
      #expect(try await client.request("POST", "/stores", "{\"name\":\"B\"}").status == 201)
    }
  }

  @Test("Content is negotiated as it is in HTTP/1.1")
  func negotiation() async throws {
    try await withClient([HTTPHeaderTests.largeStore], cors: HTTPHeaderTests.known) { client in
      let accepting = [("accept-encoding", "gzip"), ("origin", HTTPHeaderTests.page)]
      let response = try await client.request("GET", Self.path, headers: accepting)
      #expect(response["content-encoding"] == "gzip")
      #expect(response["access-control-allow-origin"] == HTTPHeaderTests.page)
      #expect(response["vary"] == "Accept-Encoding, Origin")
      let tag = try #require(response["etag"])
      let again = try await client.request("GET", Self.path, headers: accepting + [("if-none-match", tag)])
      #expect(again.status == 304)
      #expect(again.bytes.isEmpty)
    }
  }

  @Test("The same limits hold: of bodies, declared or not, and of header blocks")
  func limits() async throws {
    var callLimits = Gateway.Limits()
    callLimits.jsonBytes = 1000
    try await withClient([Self.getStore], callLimits: callLimits) { client in
      let declared = try await client.begin("POST", "/stores", [("content-length", "1001")], isHeld: true)
      #expect(try await declared.response().status == 413)
      let sent = try await client.begin(
        "POST", "/stores", body: String(repeating: " ", count: 1001), isHeld: true)
      #expect(try await sent.response().member("code") == "BODY_TOO_LARGE")
      let large = try await client.request(
        "GET", Self.path, headers: [("x-large", String(repeating: "x", count: 17 << 10))])
      #expect(large.status == 431)
      let many = try await client.request("GET", Self.path, headers: (0..<101).map { ("x-\($0)", "y") })
      #expect(many.member("code") == "HEADER_TOO_LARGE")
      #expect(
        try await client.request("GET", Self.path, headers: (0..<99).map { ("x-\($0)", "y") }).status == 200)
    }
  }

  @Test(
    "A client that is slow with its body is told so, and its other requests do not mind",
    arguments: [
      ("/stores", HTTP1ConnectionTests.limits { $0.bodyDeadline = .milliseconds(50) }),
      ("/imports/polls", HTTP1ConnectionTests.limits { $0.uploadDeadline = .milliseconds(50) }),
      ("/imports/polls", HTTP1ConnectionTests.limits { $0.bodyIdleDeadline = .milliseconds(50) }),
    ])
  func slowBody(path: String, limits: HTTPLimits) async throws {
    let imports = MethodDefinition.streaming("ImportPolls") { requests, _, _ in for try await _ in requests {}
    }
    try await withClient([imports, Self.getStore], limits: limits) { client in
      let slow = try await client.begin("POST", path, body: "abc", isHeld: true)
      let response = try await slow.response()
      #expect(response.status == 408)
      #expect(response.member("code") == "BODY_TIMEOUT")
      #expect(try await client.request("GET", Self.path).status == 200)
    }
  }

  @Test("Both ways a slow side slows the other: what is under way stays bounded")
  func backpressure() async throws {
    let (written, goOn) = (Count(), Signal())
    let download = MethodDefinition.streaming("DownloadReport") { _, responses, _ in
      let piece = RawBody(contentType: "text/csv", data: ByteBuffer(repeating: 0x61, count: 64 << 10))
        .encoded()
      for _ in 0..<256 {
        try await responses.write(piece)
        written.add(1)
      }
    }
    try await withClient([download, Self.getStore]) { client in
      let call = try await client.begin("GET", "/get_report/\(EdgeUnderTest.tenant)")
      try await call.stopReading()
      // The stream's window is used up: other requests still are answered, and nothing more is written than fits.
      var last = -1
      while last != written.value {
        last = written.value
        for _ in 0..<20 { #expect(try await client.request("GET", Self.path).status == 200) }
      }
      #expect(written.value < 256)
      try await call.cancel()
      await goOn.raise()
    }
  }

  @Test("A client that takes nothing of an answer is cut off, and its call with it")
  func stalledReader() async throws {
    var limits = HTTPLimits.patient
    limits.writeStallDeadline = .milliseconds(200)
    let cancelled = Signal()
    let download = MethodDefinition.streaming("DownloadReport") { _, responses, _ in
      let piece = RawBody(contentType: "text/csv", data: ByteBuffer(repeating: 0x61, count: 64 << 10))
        .encoded()
      do {
        while true { try await responses.write(piece) }
      } catch {
        await cancelled.raise()
        throw error
      }
    }
    try await withClient([download], limits: limits) { client in
      let call = try await client.begin("GET", "/get_report/\(EdgeUnderTest.tenant)")
      try await call.stopReading()
      await cancelled.wait()
    }
  }

  @Test("A request that is cancelled cancels its call")
  func cancellation() async throws {
    let (started, cancelled) = (Signal(), Signal())
    let slow = MethodDefinition.unary("GetStore") { _, _ in
      await started.raise()
      do { try await untilCancelled() } catch { await cancelled.raise() }
      throw RPCError(.cancelled, "cancelled")
    }
    try await withClient([slow]) { client in
      let call = try await client.begin("GET", Self.path)
      await started.wait()
      try await call.cancel()
      await cancelled.wait()
    }
  }

  @Test("A host that is named twice is named the same")
  func hosts() async throws {
    try await withClient([Self.getStore]) { client in
      #expect(try await client.request("GET", Self.path, headers: [("host", "localhost")]).status == 200)
      let other = try await client.request("GET", Self.path, headers: [("host", "other")])
      #expect(other.status == 400)
      #expect(other.member("code") == "MALFORMED_REQUEST")
      #expect(try await client.request("GET", "/stores#a").status == 400)
    }
  }

  @Test(
    "What RFC 9113 calls malformed is reset, and the connection goes on",
    arguments: [
      [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("Upper", "a")],
      [
        (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), ("connection", "close"),
      ],
      [
        (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"),
        ("transfer-encoding", "chunked"),
      ],
      [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), ("upgrade", "h2c")],
      [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), ("te", "gzip")],
      [(":scheme", "http"), (":path", "/"), (":authority", "t")],
      [(":method", "GET"), (":path", "/"), (":authority", "t")],
      [(":method", "GET"), (":scheme", "http"), (":authority", "t")],
      [(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "t")],
      [(":method", "GET"), (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t")],
      [(":method", "GET"), (":scheme", "http"), ("a", "b"), (":path", "/"), (":authority", "t")],
      [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), (":status", "200")],
      [
        (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), ("content-length", "5"),
      ],
      [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), ("a b", "c")],
      [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), ("a", "b\0c")],
      [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t"), ("a", "b\r\nc: d")],
    ])
  func malformed(fields: [(String, String)]) async throws {
    try await withEdge([Self.getStore], takesPlaintextHTTP2: true) { edge in
      let client = try await edge.connect()
      try await client.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + RawFrame(type: 4).bytes)
      // Its end comes with it: a body is not what is wrong.
      try await client.send(RawFrame(type: 1, flags: 5, stream: 1, payload: fields.flatMap(literal)).bytes)
      #expect(
        try await frame(client) { $0.stream == 1 } == RawFrame(type: 3, stream: 1, payload: [0, 0, 0, 1]))
      // 404: indexed name 8 (:status 200) with another value, or the like; that there is an answer is enough.
      let good = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "t")]
      try await client.send(RawFrame(type: 1, flags: 5, stream: 3, payload: good.flatMap(literal)).bytes)
      #expect(try await frame(client) { $0.stream == 3 }.type == 1)
      try await client.close()
    }
  }

  private func frame(_ client: RawClient, where isWanted: (RawFrame) -> Bool) async throws -> RawFrame {
    while let head = await client.take(9) {
      let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
      let payload = await client.take(length) ?? []
      let frame = RawFrame(type: head[3], flags: head[4], stream: head[8], payload: payload)
      if isWanted(frame) { return frame }
    }
    throw RawClient.ConnectionEnded()
  }

  /// A field that no table remembers, shorter than 127 bytes (RFC 7541, 6.2.2).
  private func literal(_ field: (name: String, value: String)) -> [UInt8] {
    [0, UInt8(field.name.utf8.count)] + field.name.utf8 + [UInt8(field.value.utf8.count)] + field.value.utf8
  }

  // MARK: Which protocol

  @Test(
    "By TLS a client has HTTP/2 or HTTP/1.1, as it says, and HTTP/1.1 if it says nothing",
    arguments: [
      ["h2", "http/1.1"], ["http/1.1"], [],
    ])
  func alpn(protocols: [String]) async throws {
    let certificates = try Certificates()
    let tls = try ServerTLS(
      certificate: certificates.path("server.pem"), key: certificates.path("server.key"),
      protocols: ["h2", "http/1.1"])
    try await withEdge([Self.getStore], tls: tls) { edge in
      let context = try certificates.client(protocols)
      let response: RawResponse
      if protocols.first == "h2" {
        let client = try await HTTP2Client.connect(to: edge.address, tls: context)
        response = try await client.request("GET", Self.path)
        try await client.close()
      } else {
        let client = try await RawClient.connect(to: edge.address, tls: context)
        response = try await client.request("GET", Self.path)
        let large = try await client.request("POST", "/stores", String(repeating: " ", count: 500_000))
        #expect(large.status == 400)
        try await client.close()
      }
      #expect(response.status == 200)
      #expect(response["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains")
    }
  }

  @Test("A certificate that is replaced is shown from then on")
  func reload() async throws {
    let certificates = try Certificates()
    let tls = try ServerTLS(
      certificate: certificates.path("server.pem"), key: certificates.path("server.key"),
      protocols: ["h2", "http/1.1"])
    try await withEdge([Self.getStore], tls: tls) { edge in
      let open = try await HTTP2Client.connect(to: edge.address, tls: try certificates.client(["h2"]))
      #expect(try await open.request("GET", Self.path).status == 200)
      try certificates.issue("server", by: "other-authority")
      #expect(try tls.reload())
      let context = try certificates.client(["h2"], trusting: "other-authority")
      let new = try await HTTP2Client.connect(to: edge.address, tls: context)
      #expect(try await new.request("GET", Self.path).status == 200)
      #expect(try await open.request("GET", Self.path).status == 200)
      try await new.close()
      try await open.close()
    }
  }

  @Test(
    "In plaintext HTTP/2 is spoken only where that is wanted, and HTTP/1.1 everywhere",
    arguments: [true, false])
  func plaintext(isWanted: Bool) async throws {
    try await withEdge([Self.getStore], takesPlaintextHTTP2: isWanted) { edge in
      #expect(try await edge.request("GET", Self.path).status == 200)
      let dribbling = try await edge.connect()
      for byte in "PUT / HTTP/1.1\r\nHost: t\r\n\r\n".utf8 { try await dribbling.send([byte]) }
      #expect(await dribbling.response()?.status == 404)
      let client = try await edge.connect()
      try await client.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + RawFrame(type: 4).bytes)
      if isWanted {
        #expect(try await frame(client) { _ in true }.type == 4)
        try await client.close()
      } else {
        #expect(await client.response()?.status == 505)
      }
    }
  }

  @Test("A client that says nothing is not waited for", arguments: [true, false])
  func silence(takesHTTP2: Bool) async throws {
    var limits = HTTPLimits.patient
    limits.headerDeadline = .milliseconds(50)
    try await withEdge(limits: limits, takesPlaintextHTTP2: takesHTTP2) { edge in
      let client = try await edge.connect()
      if takesHTTP2 {
        try await client.send("PRI * H")
        #expect(await client.isClosed())
      } else {
        #expect(await client.response()?.status == 408)
      }
    }
  }
}

/// A frame as bytes; its stream is below 256.
struct RawFrame: Equatable {
  var type: UInt8
  var flags: UInt8 = 0
  var stream: UInt8 = 0
  var payload: [UInt8] = []

  var bytes: [UInt8] {
    [
      UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 0xFF), UInt8(payload.count & 0xFF), type, flags,
      0, 0, 0, stream,
    ]
      + payload
  }
}

extension Certificates {
  /// What a client needs that trusts an authority of these.
  func client(_ protocols: [String], trusting authority: String = "authority") throws -> NIOSSLContext {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.trustRoots = .file(path("\(authority).pem"))
    configuration.applicationProtocols = protocols
    return try NIOSSLContext(configuration: configuration)
  }
}
