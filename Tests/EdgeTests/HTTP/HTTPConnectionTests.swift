import NIOCore
import RPC
import Testing

@testable import Edge

/// What the server does with bytes, seen from a socket.
@Suite struct HTTPConnectionTests {
  static let id = "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"
  /// A store with nothing in it but the id it was asked for.
  static let getStore = MethodDefinition.unary("GetStore") { request, _ in request }
  static let get = "GET /stores/\(id) HTTP/1.1\r\nHost: test\r\n\r\n"

  @Test("A connection serves one request after the other")
  func keepAlive() async throws {
    try await withEdge([Self.getStore]) { edge in
      let client = try await edge.connect()
      for _ in 0..<3 {
        let response = try await client.request("GET", "/stores/\(Self.id)")
        #expect(response.status == 200)
        #expect(response.member("storeId") == Self.id)
      }
    }
  }

  @Test("Pipelined requests are answered in order, also more of them than may wait", arguments: [2, 5, 200])
  func pipelining(count: Int) async throws {
    var limits = HTTPLimits()
    limits.pipelinedRequests = 4
    try await withEdge([Self.getStore], limits: limits) { edge in
      let client = try await edge.connect()
      let requests = (0..<count).map {
        $0 % 3 == 2
          ? "GET /nowhere HTTP/1.1\r\nHost: t\r\nX-Request-Id: r\($0)\r\n\r\n"
          : "GET /stores/\(Self.id) HTTP/1.1\r\nHost: t\r\nX-Request-Id: r\($0)\r\n\r\n"
      }
      try await client.send(requests.joined())
      for index in 0..<count {
        let response = await client.response()
        #expect(response?["X-Request-Id"] == "r\(index)")
        #expect(response?.status == (index % 3 == 2 ? 404 : 200))
      }
    }
  }

  @Test("Thousands of requests that are answered at once, behind one that is not, use no stack")
  func manyQueued() async throws {
    var limits = HTTPLimits()
    limits.pipelinedRequests = 100_000
    let count = 2000
    try await withEdge([Self.getStore], limits: limits) { edge in
      let client = try await edge.connect()
      try await client.send(Self.get + String(repeating: "GET / HTTP/1.1\r\nHost: t\r\n\r\n", count: count))
      #expect(await client.response()?.status == 200)
      for _ in 0..<count { #expect(await client.response()?.status == 404) }
    }
  }

  @Test(
    "Neither an upgrade nor a tunnel is made: the request is answered, and the connection ends",
    arguments: [
      ("GET", "/stores/\(id)", nil, 200), ("POST", "/stores", "{}", 400), ("CONNECT", "test:80", nil, 404),
    ] as [(String, String, String?, Int)])
  func upgrade(method: String, target: String, body: String?, status: Int) async throws {
    try await withEdge([Self.getStore]) { edge in
      let client = try await edge.connect()
      let response = try await client.request(
        method, target, body, headers: ["Connection: Upgrade", "Upgrade: h2c"])
      #expect(response.status == status)
      #expect(response["Connection"] == "close")
      #expect(await client.isClosed())
    }
  }

  @Test(
    "A header block over the limit is 431 and the end of the connection",
    arguments: [
      "X-Large: \(String(repeating: "x", count: 20 << 10))\r\n",
      (0..<50).map { "X-\($0): \(String(repeating: "x", count: 400))\r\n" }.joined(),
      (0..<101).map { "X-\($0): y\r\n" }.joined(),
    ])
  func headerLimits(headers: String) async throws {
    try await withEdge { edge in
      let client = try await edge.connect()
      try await client.send("GET /stores HTTP/1.1\r\n\(headers)\r\n")
      let response = await client.response()
      #expect(response?.status == 431)
      #expect(response?.member("code") == "HEADER_TOO_LARGE")
      #expect(response?["Connection"] == "close")
      #expect(await client.isClosed())
    }
  }

  @Test("100 fields are taken")
  func manyFields() async throws {
    try await withEdge([Self.getStore]) { edge in
      let headers = (0..<99).map { "X-\($0): y" }
      let response = try await edge.request("GET", "/stores/\(Self.id)", headers: headers)
      #expect(response.status == 200)
    }
  }

  @Test(
    "What could be read in two ways is refused and ends the connection",
    arguments: [
      "POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
      "POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
      "POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: 4, 5\r\n\r\nabcde",
      "POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
      "POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: 0x4\r\n\r\nabcd",
      "POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: +4\r\n\r\nabcd",
      "POST /stores HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\nabcd",
      "POST /stores HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
      "POST /stores HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "POST /stores HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
      "POST /stores HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
      "POST /stores HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
      "GET /stores HTTP/1.1\r\nHost : t\r\n\r\n", "GET /stores HTTP/1.1\r\n Host: t\r\n\r\n",
      "GET /stores HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n", "GET /stores HTTP/1.1\r\nX\u{0}: a\r\n\r\n",
      "GET /sto\u{1}res HTTP/1.1\r\n\r\n", "GET /stores\r\n\r\n", "hello\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
  func ambiguous(text: String) async throws {
    try await withEdge { edge in
      let client = try await edge.connect()
      try await client.send(text)
      let response = await client.response()
      #expect(response?.status == 400)
      #expect(response?["Connection"] == "close")
      #expect(await client.isClosed())
    }
  }

  @Test(
    "A request says once for whom it is",
    arguments: [
      "HTTP/1.1\r\n", "HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "HTTP/1.1\r\nHost: a\r\nhost: a\r\n",
      "HTTP/1.0\r\nHost: a\r\nHost: b\r\n",
    ])
  func host(rest: String) async throws {
    try await withEdge { edge in
      let client = try await edge.connect()
      try await client.send("GET /stores \(rest)\r\n")
      let response = await client.response()
      #expect(response?.status == 400)
      #expect(response?.member("code") == "MALFORMED_REQUEST")
    }
  }

  static func limits(_ change: (inout HTTPLimits) -> Void) -> HTTPLimits {
    var limits = HTTPLimits()
    change(&limits)
    return limits
  }

  @Test(
    "A client that is slow with its body is told so",
    arguments: [
      ("/stores", limits { $0.bodyDeadline = .milliseconds(50) }),
      ("/imports/polls", limits { $0.uploadDeadline = .milliseconds(50) }),
      ("/imports/polls", limits { $0.bodyIdleDeadline = .milliseconds(50) }),
    ])
  func slowBody(path: String, limits: HTTPLimits) async throws {
    // However long the rest takes on a busy machine: the body never comes, so one of these ends the wait.
    let imports = MethodDefinition.streaming("ImportPolls") { requests, _, _ in for try await _ in requests {}
    }
    try await withEdge([imports], limits: limits) { edge in
      let client = try await edge.connect()
      try await client.send("POST \(path) HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc")
      let response = await client.response()
      #expect(response?.status == 408)
      #expect(response?.member("code") == "BODY_TIMEOUT")
      #expect(await client.isClosed())
    }
  }

  @Test("A client that does not read its answer is cut off")
  func writeStall() async throws {
    var limits = HTTPLimits()
    limits.writeStallDeadline = .milliseconds(100)
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
    try await withEdge([download], limits: limits) { edge in
      let client = try await edge.connect(autoRead: false)
      try await client.send("GET /get_report/\(Self.id) HTTP/1.1\r\nHost: t\r\n\r\n")
      await cancelled.wait()
      try await client.close()
    }
  }

  @Test("A body over the limit is 413, declared or not")
  func bodyLimit() async throws {
    var callLimits = Gateway.Limits()
    callLimits.jsonBytes = 1000
    try await withEdge(callLimits: callLimits) { edge in
      let declared = try await edge.connect()
      try await declared.send("POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n")
      let first = await declared.response()
      #expect(first?.status == 413)
      #expect(first?.member("code") == "BODY_TOO_LARGE")
      #expect(first?.member("detail") == "The body may have at most 1000 bytes here.")
      #expect(await declared.isClosed())

      let chunked = try await edge.connect()
      let chunk = "1F4\r\n\(String(repeating: " ", count: 500))\r\n"
      try await chunked.send("POST /stores HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
      for _ in 0..<3 { try? await chunked.send(chunk) }
      #expect(await chunked.response()?.status == 413)

      #expect(try await edge.request("POST", "/stores", String(repeating: " ", count: 1000)).status == 400)
    }
  }

  @Test("Expect: 100-continue is answered before the body is sent, unless the answer is final")
  func expectContinue() async throws {
    let create = MethodDefinition.unary("CreateStore") { _, _ in ByteBuffer() }
    try await withEdge([create]) { edge in
      let client = try await edge.connect()
      let body = "{\"name\":\"A\"}"
      let head = "HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
      try await client.send("POST /stores \(head)")
      #expect(await client.response()?.status == 100)
      try await client.send(body)
      #expect(await client.response()?.status == 201)
      try await client.send("POST /nowhere \(head)")
      #expect(await client.response()?.status == 404)
      #expect(await client.isClosed())
      #expect(try await edge.request("POST", "/stores", body, headers: ["Expect: tea"]).status == 417)
    }
  }

  @Test("HTTP/1.0 closes unless asked to stay")
  func http10() async throws {
    try await withEdge([Self.getStore]) { edge in
      let client = try await edge.connect()
      try await client.send("GET /stores/\(Self.id) HTTP/1.0\r\n\r\n")
      let response = await client.response()
      #expect(response?.status == 200)
      #expect(response?["Connection"] == "close")
      #expect(await client.isClosed())
    }
  }

  @Test("HEAD has the head of GET and no body")
  func head() async throws {
    try await withEdge([Self.getStore]) { edge in
      let client = try await edge.connect()
      let get = try await client.request("GET", "/stores/\(Self.id)")
      let head = try await client.request("HEAD", "/stores/\(Self.id)")
      #expect(head.status == 200)
      #expect(head["Content-Length"] == get["Content-Length"])
      #expect(try await client.request("GET", "/stores/\(Self.id)").status == 200)
    }
  }

  @Test("A connection more than the limit is told so")
  func connectionCap() async throws {
    var limits = HTTPLimits()
    limits.connections = 1
    try await withEdge([Self.getStore], limits: limits) { edge in
      let first = try await edge.connect()
      #expect(try await first.request("GET", "/stores/\(Self.id)").status == 200)
      let second = try await edge.connect()
      let refused = await second.response()
      #expect(refused?.status == 503)
      #expect(refused?.member("code") == "TOO_MANY_CONNECTIONS")
      #expect(try await first.request("GET", "/stores/\(Self.id)").status == 200)
    }
  }

  @Test("A server whose port is taken says which and why")
  func portTaken() async throws {
    try await withEdge { edge in
      let port = edge.address.port ?? 0
      let configuration = HTTPConnection.Configuration(
        limits: HTTPLimits(), receive: { _ in Reception(plan: .answered(Self.nothing), requestID: "") },
        refuse: { _ in Reception(plan: .answered(Self.nothing), requestID: "") }, log: { _, _ in })
      let second = HTTPServer(
        address: .tcp(host: "127.0.0.1", port: port), group: loops.edge, configuration: configuration,
        logger: .quiet, onListening: { _ in })
      let error = await #expect(throws: ListenError.self) { try await second.run() }
      #expect(error?.description == "cannot listen on 127.0.0.1:\(port): Address already in use")
    }
  }

  static let nothing = HTTPResponse(HTTPResponseHead(status: 204))

  @Test("Every response carries the security headers, none says what made it")
  func headers() async throws {
    try await withEdge([Self.getStore]) { edge in
      for path in ["/stores/\(Self.id)", "/nowhere"] {
        let response = try await edge.request("GET", path)
        #expect(response["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'")
        #expect(response["X-Content-Type-Options"] == "nosniff")
        #expect(response["Cache-Control"] == "no-store")
        #expect(response["X-Powered-By"] == nil)
        #expect(response["Server"] == nil)
        #expect(response["Date"]?.hasSuffix(" GMT") == true)
      }
    }
  }

  @Test("A client that hangs up cancels its call")
  func disconnect() async throws {
    let (started, cancelled) = (Signal(), Signal())
    let slow = MethodDefinition.unary("GetStore") { _, _ in
      await started.raise()
      do { try await untilCancelled() } catch { await cancelled.raise() }
      throw RPCError(.cancelled, "cancelled")
    }
    try await withEdge([slow]) { edge in
      let client = try await edge.connect()
      try await client.send(Self.get)
      await started.wait()
      try await client.close()
      await cancelled.wait()
    }
  }
}
