import MainstreetAPI
import NIOCore
import NIOHTTP1
import RPC
import Testing

@testable import Edge

/// CONTRACT.md, "Idempotency", as HTTP has it.
@Suite("Idempotency keys") struct IdempotencyKeyTests {
  /// A service that answers with the key it was given, as the name of a store.
  private static let echo = MethodDefinition.unary("CreateStore") { _, context in
    var store = ByteBuffer()
    store.writeTag(2, .length)
    store.writeDelimited((context.metadata["idempotency-key"] ?? "none").utf8)
    return store
  }

  private static let body = #"{"name":"x"}"#

  @Test(
    "The key is passed on, bare or quoted, under either name",
    arguments: [
      (["Idempotency-Key: abc-1"], "abc-1"), (["idempotency-key:   a b  "], "a b"),
      ([#"Idempotency-Key: "abc-1""#], "abc-1"), ([#"Idempotency-Key: "a \"b\" \\c""#], #"a \"b\" \\c"#),
      (["X-Idempotency-Key: abc-1"], "abc-1"),
      ([#"Idempotency-Key: "abc-1""#, "X-Idempotency-Key: abc-1"], "abc-1"), ([], "none"),
      (["Idempotency-Key: " + String(repeating: "k", count: 255)], String(repeating: "k", count: 255)),
    ])
  func passedOn(headers: [String], key: String) async throws {
    try await withEdge([Self.echo]) { edge in
      let response = try await edge.request("POST", "/stores", Self.body, headers: headers)
      #expect(response.status == 201)
      #expect(response.body.contains(#""name":"\#(key)""#))
    }
  }

  @Test(
    "A key that is none is refused, and the header named",
    arguments: [
      "Idempotency-Key:", #"Idempotency-Key: """#, #"Idempotency-Key: "abc"#, #"Idempotency-Key: "a"b""#,
      #"Idempotency-Key: "a\b""#, #"Idempotency-Key: "a\"#, "Idempotency-Key: ü", "X-Idempotency-Key: a\tb",
      "X-Idempotency-Key: " + String(repeating: "k", count: 256), #"Idempotency-Key: "a";b=1"#,
    ])
  func malformed(header: String) async throws {
    try await withEdge([Self.echo]) { edge in
      let response = try await edge.request("POST", "/stores", Self.body, headers: [header])
      #expect(response.status == 400)
      #expect(response.member("code") == "INVALID_IDEMPOTENCY_KEY")
      #expect(response.member("detail")?.hasPrefix(header.prefix { $0 != ":" } + " must be") == true)
    }
  }

  @Test("Two headers that say different things are refused")
  func contradiction() async throws {
    try await withEdge([Self.echo]) { edge in
      let response = try await edge.request(
        "POST", "/stores", Self.body, headers: ["Idempotency-Key: a", "X-Idempotency-Key: b"])
      #expect(response.status == 400 && response.member("code") == "INVALID_IDEMPOTENCY_KEY")
    }
  }

  @Test("Routes that take no key pass it over")
  func passedOver() async throws {
    let read = MethodDefinition.unary("GetStore") { _, context in
      #expect(context.metadata["idempotency-key"] == nil)
      return ByteBuffer()
    }
    try await withEdge([read]) { edge in
      let response = try await edge.request(
        "GET", "/stores/\(UnaryCallTests.id)", headers: [#"Idempotency-Key: ""#])
      #expect(response.status == 200)
    }
  }

  @Test("An answer given before says so, a refusal too")
  func replayed() async throws {
    let create = MethodDefinition.unary("CreateStore") { _, context in
      context.setInitialMetadata("idempotency-replayed", "true")
      return ByteBuffer()
    }
    let trigger = MethodDefinition.unary("TriggerReport") { _, _ in
      throw RPCError(
        .alreadyExists, "taken", reason: "TAKEN", details: ["externalId": "x", "idempotencyReplayed": "true"])
    }
    try await withEdge([create, trigger]) { edge in
      let created = try await edge.request("POST", "/stores", Self.body, headers: ["Idempotency-Key: a"])
      #expect(created.status == 201 && created["Idempotency-Replayed"] == "true")
      let refused = try await edge.request("POST", "/reports", "{}", headers: ["Idempotency-Key: a"])
      #expect(refused.status == 409 && refused["Idempotency-Replayed"] == "true")
      #expect(refused.member("externalId") == "x" && refused.member("idempotencyReplayed") == nil)
    }
  }

  @Test(
    "What a service says of a key has its status",
    arguments: [
      (StatusCode.failedPrecondition, "IDEMPOTENCY_KEY_REUSED", 422),
      (.aborted, "IDEMPOTENCY_IN_PROGRESS", 409), (.invalidArgument, "IDEMPOTENCY_KEY_REQUIRED", 400),
    ])
  func statuses(code: StatusCode, reason: String, status: Int) async throws {
    let create = MethodDefinition.unary("CreateStore") { _, _ in
      throw RPCError(code, "no", reason: reason, retryAfter: code == .aborted ? .seconds(1) : nil)
    }
    try await withEdge([create]) { edge in
      let response = try await edge.request("POST", "/stores", Self.body, headers: ["Idempotency-Key: a"])
      #expect(response.status == status && response.member("code") == reason)
      #expect(response["Retry-After"] == (code == .aborted ? "1" : nil))
    }
  }

  @Test("With a key a call whose answer was lost is made again, without one it is not")
  func again() async throws {
    let calls = Count()
    let create = MethodDefinition.unary("CreateStore") { _, _ in
      guard calls.add(1) > 1 else { throw RPCError(.unavailable, "lost") }
      return ByteBuffer()
    }
    try await withEdge([create]) { edge in
      let kept = try await edge.request("POST", "/stores", Self.body, headers: ["Idempotency-Key: a"])
      #expect(kept.status == 201 && calls.value == 2)
    }
    calls.add(-2)
    try await withEdge([create]) { edge in
      let lost = try await edge.request("POST", "/stores", Self.body)
      #expect(lost.status == 503 && calls.value == 1)
    }
  }

  @Test("Where the contract requires a key, a request without one is refused")
  func required() async throws {
    var contract = descriptorSet
    let accepted: [UInt8] = [0x30, 0xc9, 0x01, 0x38, 0x01]
    for start in 0..<contract.count - 5 where contract[start..<start + 5].elementsEqual(accepted) {
      contract[start + 4] = 0x02
    }
    try await withEdge([Self.echo], contract: contract) { edge in
      let refused = try await edge.request("POST", "/stores", Self.body)
      #expect(refused.status == 400 && refused.member("code") == "IDEMPOTENCY_KEY_REQUIRED")
      let taken = try await edge.request("POST", "/stores", Self.body, headers: ["Idempotency-Key: a"])
      #expect(taken.status == 201)
    }
  }
}
