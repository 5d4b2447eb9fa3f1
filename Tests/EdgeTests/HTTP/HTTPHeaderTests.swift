import NIOCore
import RPC
import Testing

@testable import Edge

/// What answers say besides their content.
@Suite struct HTTPHeaderTests {
  static let id = EdgeUnderTest.tenant
  static let getStore = HTTP1ConnectionTests.getStore
  /// A store whose name makes its answer longer than is sent uncompressed.
  static let largeStore = MethodDefinition.unary("GetStore") { _, _ in
    // Store {store_id = 1, name = 2}
    var store = ByteBuffer()
    store.writeTag(2, .length)
    store.writeDelimited(String(repeating: "Main Street ", count: 1000).utf8)
    return store
  }

  @Test(
    "Every answer tells browsers to be careful, none says what made it",
    arguments: ["/stores/\(id)", "/nowhere"])
  func security(path: String) async throws {
    try await withEdge([Self.getStore]) { edge in
      let response = try await edge.request("GET", path)
      for (name, value) in [
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Origin-Agent-Cluster", "?1"), ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-DNS-Prefetch-Control", "off"), ("X-Download-Options", "noopen"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("X-Permitted-Cross-Domain-Policies", "none"), ("X-XSS-Protection", "0"),
      ] {
        #expect(response[name] == value)
        #expect(response.headers.count { $0.name.lowercased() == name.lowercased() } == 1)
      }
      #expect(response["X-Request-Id"]?.isEmpty == false)
      #expect(response["Date"]?.hasSuffix(" GMT") == true)
      #expect(response["Cache-Control"] == (response.status == 200 ? "private, no-cache" : "no-store"))
      for name in ["X-Powered-By", "Server", "Strict-Transport-Security", "Vary"] {
        #expect(response[name] == nil)
      }
    }
  }

  @Test("A value of a service's cannot end its field")
  func injection() {
    var out = ByteBuffer()
    HTTPResponseHead(status: 200, headers: [("Content-Disposition", "a\r\nSet-Cookie: b\u{0}")])
      .write(to: &out, framing: .none, requestID: "r", keepsAlive: true, date: HTTPDate())
    #expect(String(buffer: out).contains("\r\nContent-Disposition: aSet-Cookie: b\r\n"))
  }

  // MARK: CORS

  static let page = "https://app.example.org"
  static let known = CORS(origins: .listed([page, "http://localhost:3000"]))

  @Test(
    "A page of a known origin may read the answer, any other learns nothing of the rule",
    arguments: [
      (page, page), ("http://localhost:3000", "http://localhost:3000"), ("https://evil.example", nil),
      ("https://app.example.org.evil.example", nil), ("http://app.example.org", nil), ("null", nil),
    ] as [(String, String?)])
  func origin(origin: String, allowed: String?) async throws {
    try await withEdge([Self.getStore], cors: Self.known) { edge in
      for path in ["/stores/\(Self.id)", "/nowhere"] {
        let response = try await edge.request("GET", path, headers: ["Origin: \(origin)"])
        #expect(response["Access-Control-Allow-Origin"] == allowed)
        #expect(response["Vary"]?.contains("Origin") == true)
        #expect((response["Access-Control-Expose-Headers"] != nil) == (allowed != nil))
        #expect(response["Access-Control-Allow-Credentials"] == nil)
      }
      let plain = try await edge.request("GET", "/stores/\(Self.id)")
      #expect(plain["Access-Control-Allow-Origin"] == nil)
      #expect(plain["Vary"] == "Origin")
    }
  }

  @Test("All origins may be allowed, but only by saying so")
  func anyOrigin() async throws {
    try await withEdge([Self.getStore], cors: CORS(origins: .any)) { edge in
      let response = try await edge.request(
        "GET", "/stores/\(Self.id)", headers: ["Origin: https://evil.example"])
      #expect(response["Access-Control-Allow-Origin"] == "*")
    }
  }

  @Test("A preflight is told what the path takes")
  func preflight() async throws {
    try await withEdge([Self.getStore], cors: Self.known) { edge in
      let client = try await edge.connect()
      let asked = [
        "Origin: \(Self.page)", "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: content-type,X-API-Key, x-evil",
      ]
      let response = try await client.request("OPTIONS", "/stores", headers: asked)
      #expect(response.status == 204)
      #expect(response["Access-Control-Allow-Origin"] == Self.page)
      #expect(response["Access-Control-Allow-Methods"] == "GET, HEAD, POST")
      #expect(response["Access-Control-Allow-Headers"] == "content-type, x-api-key")
      #expect(response["Access-Control-Max-Age"] == "600")
      #expect(response["Vary"] == "Access-Control-Request-Method, Access-Control-Request-Headers, Origin")
      #expect(response["Content-Length"] == nil)

      let stranger = try await client.request(
        "OPTIONS", "/stores", headers: ["Origin: https://evil.example"] + asked.dropFirst())
      #expect(stranger.status == 204)
      #expect(!stranger.headers.contains { $0.name.lowercased().hasPrefix("access-control") })
      #expect(try await client.request("OPTIONS", "/nowhere", headers: asked).status == 404)
    }
  }

  @Test(
    "OPTIONS that is no preflight is a method like any other, which no route has",
    arguments: [
      (known, [String]()), (known, ["Origin: \(page)"]), (known, ["Access-Control-Request-Method: GET"]),
      (CORS.none, ["Origin: \(page)", "Access-Control-Request-Method: GET"]),
    ])
  func options(cors: CORS, headers: [String]) async throws {
    try await withEdge([Self.getStore], cors: cors) { edge in
      let response = try await edge.request("OPTIONS", "/stores", headers: headers)
      #expect(response.status == 405)
      #expect(response["Allow"] == "GET, HEAD, POST")
    }
  }

  @Test(
    "Origins are written as browsers write them",
    arguments: [
      ("", CORS.Origins.none), (" ", .none), ("*", .any),
      ("https://a.example", .listed(["https://a.example"])),
      ("https://a.example, http://localhost:3000", .listed(["https://a.example", "http://localhost:3000"])),
    ])
  func originSetting(text: String, origins: CORS.Origins) throws {
    #expect(try CORS(text).origins == origins)
  }

  @Test(
    "An origin that no browser sends is refused, or it would be a rule that never applies",
    arguments: [
      "app.example.org", "https://a.example/", "https://A.example", "https://a.example:443",
      "http://a.example:80",
      "https://", "https://a.example, *", "https://*.a.example", "ftp://a.example", "https://u@a.example",
    ])
  func unusableOrigin(text: String) {
    #expect(throws: CORS.UnusableOrigin.self) { try CORS(text) }
  }

  // MARK: ETag

  @Test("Who has the answer already is not sent it again")
  func notModified() async throws {
    try await withEdge([Self.largeStore]) { edge in
      let client = try await edge.connect()
      let path = "/stores/\(Self.id)"
      let first = try await client.request("GET", path)
      let tag = try #require(first["ETag"])
      #expect(tag.hasPrefix("\"") && tag.hasSuffix("\"") && tag.count == 34)
      for condition in [tag, "W/\(tag)", "\"other\", \(tag)", "\"a,b\",W/\(tag)", "*"] {
        let again = try await client.request("HEAD", path, headers: ["If-None-Match: \(condition)"])
        #expect(again.status == 304)
        #expect(again["ETag"] == tag)
        #expect(again["Content-Length"] == nil)
        #expect(again["Content-Type"] == nil)
        #expect(again["Cache-Control"] == "private, no-cache")
        #expect(again["Vary"] == "Accept-Encoding")
      }
      for condition in ["\"other\"", "other", "W/", "\"", tag.dropLast().description, ""] {
        let again = try await client.request("GET", path, headers: ["If-None-Match: \(condition)"])
        #expect(again.status == 200)
        #expect(again.body == first.body)
      }
    }
  }

  @Test("What is compressed has another tag than what is not")
  func tagOfCoding() async throws {
    try await withEdge([Self.largeStore]) { edge in
      let client = try await edge.connect()
      let path = "/stores/\(Self.id)"
      let plain = try #require(try await client.request("HEAD", path)["ETag"])
      let compressed = try #require(
        try await client.request("HEAD", path, headers: ["Accept-Encoding: gzip"])["ETag"])
      #expect(compressed == plain.dropLast() + "-gzip\"")
      for (known, accepted, status) in [
        (compressed, "gzip", 304), (plain, "gzip", 200), (compressed, "identity", 200),
        (plain, "identity", 304),
      ] {
        let response = try await client.request(
          "HEAD", path, headers: ["If-None-Match: \(known)", "Accept-Encoding: \(accepted)"])
        #expect(response.status == status)
      }
    }
  }

  @Test("Only reads are given tags")
  func writesHaveNone() async throws {
    let create = MethodDefinition.unary("CreateStore") { _, _ in ByteBuffer() }
    try await withEdge([create]) { edge in
      let created = try await edge.request("POST", "/stores", #"{"name":"A"}"#, headers: ["If-None-Match: *"])
      #expect(created.status == 201)
      #expect(created["ETag"] == nil)
      #expect(created["Cache-Control"] == "no-store")
    }
  }
}
