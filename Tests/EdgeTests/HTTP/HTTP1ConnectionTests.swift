import NIOCore
import RPC
import Testing

@testable import Edge

/// What the server does with bytes, seen from a socket.
@Suite struct HTTP1ConnectionTests {
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
    var limits = HTTPLimits.patient
    limits.pipelinedBytes = 200
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
    var limits = HTTPLimits.patient
    limits.pipelinedBytes = 1 << 20
    limits.requestsPerTurn = 100_000
    let count = 2000
    try await withEdge([Self.getStore], limits: limits) { edge in
      let client = try await edge.connect()
      try await client.send(Self.get + String(repeating: "GET / HTTP/1.1\r\nHost: t\r\n\r\n", count: count))
      #expect(await client.response()?.status == 200)
      for _ in 0..<count { #expect(await client.response()?.status == 404) }
    }
  }

  @Test("What is sent behind a request that takes its time is not read without end")
  func pipelinedBody() async throws {
    let (began, goOn) = (Signal(), Signal())
    let slow = MethodDefinition.unary("GetStore") { request, _ in
      await began.raise()
      await goOn.wait()
      return request
    }
    try await withEdge([slow]) { edge in
      let client = try await edge.connect()
      try await client.send(Self.get)
      await began.wait()
      try await client.send("POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n")
      // More than all buffers on the way hold: unless somebody reads it without need, it cannot all be sent.
      let rest = client.channel.eventLoop.makePromise(of: Void.self)
      client.channel.writeAndFlush(ByteBuffer(repeating: 0x20, count: 64 << 20), promise: rest)
      await goOn.raise()
      #expect(await client.response()?.status == 200)
      // Of the body, which has no JSON in it; what follows is no request.
      #expect(await client.response()?.status == 400)
      try? await rest.futureResult.get()
    }
  }

  @Test("A client is not held to the order in which others are answered, however many requests it sends")
  func turns() async throws {
    var limits = HTTPLimits.patient
    limits.requestsPerTurn = 2
    try await withEdge([Self.getStore], limits: limits) { edge in
      let client = try await edge.connect()
      try await client.send(String(repeating: "GET / HTTP/1.1\r\nHost: t\r\n\r\n", count: 101))
      for _ in 0..<101 { #expect(await client.response()?.status == 404) }
    }
  }

  @Test("An upgrade that is offered is declined by not being made")
  func upgrade() async throws {
    try await withEdge([Self.getStore]) { edge in
      let client = try await edge.connect()
      for (method, target, body, status) in [
        ("GET", "/stores/\(Self.id)", nil, 200), ("POST", "/stores", "{}", 400),
      ] as [(String, String, String?, Int)] {
        let response = try await client.request(
          method, target, body, headers: ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"])
        #expect(response.status == status)
        #expect(response["Connection"] == nil)
      }
    }
  }

  @Test("There are no tunnels")
  func connect() async throws {
    try await withEdge { edge in
      let client = try await edge.connect()
      let response = try await client.request("CONNECT", "test:80")
      #expect(response.status == 404)
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
    var limits = HTTPLimits.patient
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
    var limits = HTTPLimits.patient
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
    var limits = HTTPLimits.patient
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

  @Test("An address has as many connections as it may, whoever else there is")
  func connectionsOfAddress() async throws {
    var limits = HTTPLimits.patient
    limits.connectionsPerAddress = 1
    try await withEdge([Self.getStore], limits: limits) { edge in
      let first = try await edge.connect()
      #expect(try await first.request("GET", "/stores/\(Self.id)").status == 200)
      let refused = await (try await edge.connect()).response()
      #expect(refused?.status == 503)
      #expect(refused?.member("detail") == "This server has all the connections it takes from your address.")
      #expect(refused?["Retry-After"] == "1")
      #expect(refused?["Connection"] == "close")
      #expect(try await first.request("GET", "/stores/\(Self.id)").status == 200)
    }
  }

  @Test("Bodies that are too much altogether are refused, while small ones have their place")
  func heldBytes() async throws {
    var limits = HTTPLimits.patient
    limits.heldBytes = 100_000
    let (began, goOn) = (Count(), Signal())
    let slow = MethodDefinition.unary("CreateStore") { _, _ in
      began.add(1)
      await goOn.wait()
      return ByteBuffer()
    }
    try await withEdge([slow, Self.getStore], limits: limits) { edge in
      let body = "{\"name\":\"A\"}" + String(repeating: " ", count: 60_000)
      async let first = edge.request("POST", "/stores", body)
      while began.value == 0 { await Task.yield() }
      let second = try await edge.request("POST", "/stores", body)
      #expect(second.status == 503)
      #expect(second.member("code") == "OVERLOADED")
      #expect(try await edge.request("GET", "/stores/\(Self.id)").status == 200)
      await goOn.raise()
      #expect(try await first.status == 201)
      #expect(try await edge.request("POST", "/stores", body).status == 201)
    }
  }

  @Test("A server whose port is taken says which and why")
  func portTaken() async throws {
    try await withEdge { edge in
      let port = edge.address.port ?? 0
      let core = HTTPCore(
        limits: HTTPLimits(), receive: { _, _ in Reception(plan: .answered(Self.nothing), requestID: "") },
        refuse: { _ in Reception(plan: .answered(Self.nothing), requestID: "") }, log: { _, _ in })
      let second = HTTPServer(
        HTTPServer.Configuration(address: .tcp(host: "127.0.0.1", port: port)), group: loops.edge, core: core,
        logger: .quiet, onListening: { _ in })
      let error = await #expect(throws: ListenError.self) { try await second.run() }
      #expect(error?.description == "cannot listen on 127.0.0.1:\(port): Address already in use")
    }
  }

  static let nothing = HTTPResponse(HTTPResponseHead(status: 204))

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
