import MainstreetAPI
import NIOCore
import RPC
import Testing

@testable import Edge

@Suite struct UnaryCallTests {
  static let id = EdgeUnderTest.tenant

  /// Answers each request with the JSON-visible part of what it was: an echo through `Store`.
  static let create = MethodDefinition.unary("CreateStore") { request, _ in
    // CreateStoreRequest {name 1, timezone 2, external_id 3} becomes Store {name 2, timezone 3, external_id 4}.
    var store = ByteBuffer()
    var reader = WireReaderOver(request)
    while let (number, value) = reader.next() {
      store.writeTag(number + 1, .length)
      store.writeDelimited(value)
    }
    return store
  }

  @Test("A body becomes the request, the response the body")
  func creates() async throws {
    try await withEdge([Self.create]) { edge in
      let response = try await edge.request(
        "POST", "/api/v1/stores", #"{"name":"Café \ud83c\udfea","external_id":"a\"b"}"#,
        headers: ["Content-Type: application/json; charset=utf-8", "X-Request-Id: mine-1"])
      #expect(response.status == 201)
      #expect(response["Content-Type"] == "application/json")
      #expect(response["X-Request-Id"] == "mine-1")
      #expect(
        response.body
          == #"{"storeId":"","name":"Café 🏪","timezone":"","externalId":"a\"b","businessHours":[]}"#)
    }
  }

  @Test(
    "Bad bodies are 400 and never reach the service",
    arguments: [
      ("{\"name\":\"x\"", "INVALID_JSON", nil), ("{\"name\":5}", "VALIDATION_FAILED", "/name WRONG_TYPE"),
      ("{\"name\":\"x\",\"nmae\":1}", "VALIDATION_FAILED", "/nmae UNKNOWN_FIELD"),
      ("{\"name\":\"x\",\"name\":\"y\"}", "VALIDATION_FAILED", "/name DUPLICATE_KEY"),
      ("{\"name\":\"a\\u0000\"}", "VALIDATION_FAILED", "/name NUL_CHARACTER"),
      ("{\"name\":\"x\",\"timezone\":\"Mars/Olympus\"}", "VALIDATION_FAILED", "/timezone UNKNOWN_TIME_ZONE"),
      ("{}", "VALIDATION_FAILED", "/name REQUIRED"), ("", "VALIDATION_FAILED", "/name REQUIRED"),
      ("[]", "VALIDATION_FAILED", " WRONG_TYPE"),
    ])
  func badBodies(body: String, code: String, violation: String?) async throws {
    try await withEdge { edge in
      let response = try await edge.request("POST", "/stores", body)
      #expect(response.status == 400)
      #expect(response["Content-Type"] == "application/problem+json")
      #expect(response.member("code") == code)
      if let violation {
        let parts = violation.split(separator: " ", omittingEmptySubsequences: false)
        #expect(response.body.contains(#""errors":[{"field":"\#(parts[0])","code":"\#(parts[1])","#))
      }
    }
  }

  @Test("A request that is no larger than a service's message may be is made; a larger one is 413")
  func messageLimit() async throws {
    var limits = Gateway.Limits()
    let service = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
    #expect(limits.messageBytes == service.maxMessageBytes)
    // CreateStoreRequest {name 1}: tag, length, text.
    limits.messageBytes = 12
    try await withEdge([Self.create], callLimits: limits) { edge in
      let client = try await edge.connect()
      #expect(try await client.request("POST", "/stores", #"{"name":"0123456789"}"#).status == 201)
      let refused = try await client.request("POST", "/stores", #"{"name":"0123456789a"}"#)
      #expect(refused.status == 413)
      #expect(refused.member("code") == "BODY_TOO_LARGE")
      // The body was read to its end, so the connection goes on.
      #expect(try await client.request("POST", "/stores", #"{"name":"a"}"#).status == 201)
    }
  }

  @Test("Bytes that are not UTF-8 are refused as such")
  func notUTF8() async throws {
    try await withEdge { edge in
      let client = try await edge.connect()
      var bytes = ByteBuffer(
        string: "POST /stores HTTP/1.1\r\nHost: t\r\nContent-Length: 12\r\n\r\n{\"name\":\"")
      bytes.writeBytes([0xFF, 0x22, 0x7D])
      try await client.channel.writeAndFlush(bytes).get()
      let response = await client.response()
      #expect(response?.status == 400)
      #expect(response?.member("code") == "INVALID_UTF8")
    }
  }

  @Test("A problem has every member of the contract")
  func problemMembers() async throws {
    try await withEdge { edge in
      let response = try await edge.request("GET", "/api/nowhere?q=1", headers: ["X-Request-Id: r\"bad"])
      #expect(response.status == 404)
      #expect(JSONScannerTests.check(Array(response.body.utf8)) == nil)
      #expect(response.member("type") == "about:blank")
      #expect(response.member("title") == "Not Found")
      #expect(response.member("status") == "404")
      #expect(response.member("statusCode") == "404")
      #expect(response.member("code") == "ROUTE_NOT_FOUND")
      #expect(response.member("detail") == response.member("message"))
      #expect(response.member("instance") == "/api/nowhere")
      #expect(response.member("path") == "/api/nowhere")
      #expect(response.member("method") == "GET")
      #expect(response.member("errors") == "[]")
      #expect(response.member("requestId") == response["X-Request-Id"])
      #expect(response.member("requestId")?.contains("bad") == false)
      #expect(response.member("timestamp")?.hasSuffix("Z") == true)
    }
  }

  @Test("A wrong method is 405 and says which are right")
  func wrongMethod() async throws {
    try await withEdge { edge in
      let response = try await edge.request("DELETE", "/stores")
      #expect(response.status == 405)
      #expect(response["Allow"] == "GET, HEAD, POST")
      #expect(response.member("code") == "METHOD_NOT_ALLOWED")
    }
  }

  @Test(
    "Query parameters fill the fields the path leaves",
    arguments: [
      ("/stores?limit=7&cursor=a%20b%2Bc", 200, "7 a b+c"), ("/stores?cursor=a+b", 200, " a b"),
      ("/stores", 200, " "),
      ("/stores?limit=x", 400, "/limit WRONG_TYPE"), ("/stores?limit=101", 400, "/limit OUT_OF_RANGE"),
      ("/stores?limit=", 400, "/limit WRONG_TYPE"),
      ("/stores?nope=1", 400, "/nope UNKNOWN_PARAMETER"),
      ("/stores?limit=1&limit=2", 400, "/limit DUPLICATE_PARAMETER"),
      ("/stores?limit=%zz", 400, "MALFORMED_QUERY"),
      ("/stores/\(EdgeUnderTest.tenant)?storeId=x", 400, "/storeId UNKNOWN_PARAMETER"),
      ("/stores/not-a-uuid", 400, "/storeId INVALID_UUID"),
    ])
  func query(path: String, status: Int, expected: String) async throws {
    let list = MethodDefinition.unary("ListStores") { bytes, _ in
      let request = try ListStoresRequest(decoding: bytes)
      var page = ListStoresResponse()
      page.nextCursor = "\(request.limit == 0 ? "" : String(request.limit)) \(request.cursor)"
      var out = ByteBuffer()
      page.encode(into: &out)
      return out
    }
    try await withEdge([list]) { edge in
      let response = try await edge.request("GET", path)
      #expect(response.status == status)
      if status == 200 {
        #expect(response.member("nextCursor") == expected)
      } else {
        let parts = expected.split(separator: " ")
        #expect(parts.allSatisfy { response.body.contains("\"\($0)\"") }, "\(response.body)")
      }
    }
  }

  @Test("A body may be the value of a field, and so may an answer")
  func bodyField() async throws {
    let set = MethodDefinition.unary("SetBusinessHours") { bytes, _ in
      let request = try SetBusinessHoursRequest(decoding: bytes)
      guard request.storeId == Self.id else { throw RPCError(.notFound, "no such store") }
      var response = SetBusinessHoursResponse()
      response.hours = request.hours
      var out = ByteBuffer()
      response.encode(into: &out)
      return out
    }
    try await withEdge([set]) { edge in
      let hours =
        #"[{"dayOfWeek":0,"startTime":"09:00","endTime":"17:30"},{"dayOfWeek":6,"startTime":"10:00","endTime":"24:00"}]"#
      let path = "/stores/\(Self.id)/hours"
      let response = try await edge.request("PUT", path, hours)
      #expect(response.status == 200)
      #expect(response.body == hours)
      #expect(try await edge.request("PUT", path, "[]").body == "[]")
      let bad = try await edge.request(
        "PUT", path,
        #"[{"dayOfWeek":0,"startTime":"09:00","endTime":"17:30"},{"dayOfWeek":7,"startTime":"9"}]"#)
      #expect(bad.status == 400)
      for violation in [
        #"/1/dayOfWeek","code":"OUT_OF_RANGE"#, #"/1/startTime","code":"PATTERN_MISMATCH"#,
        #"/1/endTime","code":"REQUIRED"#,
      ] {
        #expect(bad.body.contains(violation), "\(bad.body)")
      }
      #expect(try await edge.request("PUT", path).member("code") == "BODY_REQUIRED")
      #expect(try await edge.request("GET", "/stores/\(Self.id)", "{}").member("code") == "UNEXPECTED_BODY")
    }
  }

  @Test("A body that is null is not the empty list, which would delete what is there")
  func nullBody() async throws {
    try await withEdge { edge in
      let response = try await edge.request("PUT", "/stores/\(Self.id)/hours", "null")
      #expect(response.status == 400)
      #expect(
        response.body.contains(#""errors":[{"field":"","code":"WRONG_TYPE","message":"must not be null"}]"#))
    }
  }

  @Test("A body may repeat what the path says, but not contradict it")
  func repeatedPath() async throws {
    let update = MethodDefinition.unary("UpdateStore") { bytes, _ in
      let request = try UpdateStoreRequest(decoding: bytes)
      var store = Store()
      store.storeId = request.storeId
      var out = ByteBuffer()
      store.encode(into: &out)
      return out
    }
    let other = "1190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"
    try await withEdge([update]) { edge in
      let same = try await edge.request(
        "PATCH", "/stores/\(Self.id)", "{\"storeId\":\"\(Self.id)\",\"name\":\"n\"}")
      #expect(same.member("storeId") == Self.id)
      let different = try await edge.request("PATCH", "/stores/\(Self.id)", "{\"store_id\":\"\(other)\"}")
      #expect(different.status == 400)
      #expect(different.body.contains(#"{"field":"/storeId","code":"CONFLICT""#))
    }
  }

  @Test("Empty is 204, and a service may say 200 where 201 is usual")
  func statuses() async throws {
    let delete = MethodDefinition.unary("DeleteStore") { _, _ in ByteBuffer() }
    let poll = MethodDefinition.unary("RecordPoll") { _, context in
      context.setInitialMetadata("http-status", "200")
      return ByteBuffer()
    }
    try await withEdge([delete, poll, Self.create]) { edge in
      let client = try await edge.connect()
      let deleted = try await client.request("DELETE", "/stores/\(Self.id)")
      #expect(deleted.status == 204)
      #expect(deleted["Content-Length"] == nil)
      let body = #"{"status":"ACTIVE","timestamp":"2023-01-25T18:13:22Z"}"#
      let again = try await client.request("POST", "/stores/\(Self.id)/status", body)
      #expect(again.status == 200)
    }
  }

  @Test(
    "gRPC's statuses become HTTP's, with the service's code and words",
    arguments: [
      (StatusCode.invalidArgument, 400), (.failedPrecondition, 400), (.outOfRange, 400),
      (.unauthenticated, 401), (.permissionDenied, 403),
      (.notFound, 404), (.alreadyExists, 409), (.aborted, 409), (.resourceExhausted, 429), (.cancelled, 499),
      (.unknown, 500), (.internal, 500),
      (.dataLoss, 500), (.unimplemented, 501), (.unavailable, 503), (.deadlineExceeded, 504),
    ])
  func errors(code: StatusCode, status: Int) async throws {
    let get = MethodDefinition.unary("GetStore") { _, _ in
      throw RPCError(
        code, "Words for people.", reason: "STORE_IS_ODD",
        violations: [FieldViolation(field: "store_id", code: "ODD", message: "is odd")],
        details: ["alternatives": "none", "status": "hijack"], retryAfter: .milliseconds(1500))
    }
    try await withEdge([get]) { edge in
      let response = try await edge.request("GET", "/stores/\(Self.id)")
      #expect(response.status == status)
      #expect(response.member("status") == "\(status)")
      #expect(response.member("code") == "STORE_IS_ODD")
      #expect(response.member("detail") == "Words for people.")
      #expect(response.member("alternatives") == "none")
      #expect(response.member("errors") == #"[{"field":"/storeId","code":"ODD","message":"is odd"}]"#)
      #expect(response["Retry-After"] == "2")
    }
  }

  @Test("A failure nobody named tells the caller nothing")
  func opaque() async throws {
    let get = MethodDefinition.unary("GetStore") { _, _ in
      throw RPCError(.internal, "relation \"stores\" does not exist")
    }
    try await withEdge([get]) { edge in
      let response = try await edge.request("GET", "/stores/\(Self.id)")
      #expect(response.status == 500)
      #expect(response.member("code") == "INTERNAL")
      #expect(!response.body.contains("relation"))
    }
  }

  @Test("A service that is not there is 503, one that is too slow 504")
  func unreachable() async throws {
    try await withEdge(store: .tcp(host: "127.0.0.1", port: 1), patience: .milliseconds(50)) { edge in
      let response = try await edge.request("GET", "/stores/\(Self.id)")
      #expect(response.status == 503)
      #expect(response.member("code") == "UNAVAILABLE")
      #expect(!response.body.contains("127.0.0.1"))
    }
    var limits = Gateway.Limits()
    limits.unaryDeadline = .milliseconds(50)
    let slow = MethodDefinition.unary("GetStore") { _, _ in
      try await untilCancelled()
      return ByteBuffer()
    }
    try await withEdge([slow], callLimits: limits) { edge in
      let response = try await edge.request("GET", "/stores/\(Self.id)")
      #expect(response.status == 504)
      #expect(response.member("code") == "DEADLINE_EXCEEDED")
    }
  }

  @Test("A service's bytes that are no message are 500")
  func malformedAnswer() async throws {
    let get = MethodDefinition.unary("GetStore") { _, _ in ByteBuffer(bytes: [0x0A, 0x05]) }
    try await withEdge([get]) { edge in
      let response = try await edge.request("GET", "/stores/\(Self.id)")
      #expect(response.status == 500)
    }
  }

  @Test("The service learns whom the request acts for, its id and its trace")
  func metadata() async throws {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    let get = MethodDefinition.unary("GetStore") { _, context in
      var store = Store()
      store.name = ["mainstreet-principal", "x-request-id", "traceparent"].map { context.metadata[$0] ?? "-" }
        .joined(separator: " ")
      var out = ByteBuffer()
      store.encode(into: &out)
      return out
    }
    try await withEdge([get]) { edge in
      let response = try await edge.request(
        "GET", "/stores/\(Self.id)",
        headers: ["X-Request-Id: abc", "traceparent: \(trace)"])
      #expect(response.member("name") == "\(EdgeUnderTest.principal) abc \(trace)")
    }
  }

  @Test(
    "A JSON route takes JSON, as it is",
    arguments: [
      ("Content-Type: text/csv", "UNSUPPORTED_MEDIA_TYPE"),
      ("Content-Type: application/x-www-form-urlencoded", "UNSUPPORTED_MEDIA_TYPE"),
      ("Content-Encoding: gzip", "UNSUPPORTED_CONTENT_ENCODING"),
    ])
  func contentTypes(header: String, code: String) async throws {
    try await withEdge { edge in
      let response = try await edge.request("POST", "/stores", "{\"name\":\"x\"}", headers: [header])
      #expect(response.status == 415)
      #expect(response.member("code") == code)
    }
  }
}

/// The length-delimited fields of a message, for a handler that works on bytes.
private struct WireReaderOver {
  private var rest: ByteBuffer
  init(_ message: ByteBuffer) { rest = message }

  mutating func next() -> (number: Int, value: [UInt8])? {
    guard let tag: UInt8 = rest.readInteger(), let length: UInt8 = rest.readInteger() else { return nil }
    return (Int(tag >> 3), rest.readBytes(length: Int(length)) ?? [])
  }
}
