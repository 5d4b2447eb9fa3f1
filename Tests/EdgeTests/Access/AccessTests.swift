import MainstreetAPI
import NIOCore
import RPC
import ServiceKit
import Synchronization
import Testing

@testable import Edge

@Suite("Access", .serialized) struct AccessTests {
  private let identity = StandInIdentity()
  private static let key = apiKey(1)

  /// Answers with who it was called for.
  private static let list = MethodDefinition.unary("ListStores") { _, context in
    let parts = (context.metadata[Principal.metadataKey] ?? "").split(separator: ".").map(String.init)
    let principal = try PrincipalClaims(
      decoding: ByteBuffer(bytes: Base64URL.decode((parts.count == 4 ? parts[2] : "").utf8) ?? []))
    return ListStoresResponse(nextCursor: principal.subject).encoded()
  }
  private static let create = MethodDefinition.unary("CreateStore") { _, _ in Store(name: "x").encoded() }
  private static let imports = MethodDefinition.streaming("ImportPolls") { requests, responses, _ in
    var bytes = 0
    for try await message in requests { bytes += try RawBody(decoding: message).data.readableBytes }
    try await responses.write(ImportSummary(accepted: Int64(bytes)).encoded())
  }

  init() {
    identity.add(Self.key, .init(subject: "key:1", scopes: ["*"]))
  }

  @Test("is refused without a credential, and told how to show one")
  func none() async throws {
    try await withGuardedEdge(identity, [Self.list]) { edge in
      let response = try await edge.request("GET", "/stores")
      #expect(response.status == 401 && response.member("code") == "UNAUTHENTICATED")
      #expect(response["WWW-Authenticate"] == "Bearer realm=\"mainstreet\"")
    }
  }

  @Test("is had with a key or a token, as whoever identity says it is of")
  func credentials() async throws {
    identity.add("a.b.c", .init(subject: "account:7", roles: ["viewer"]))
    try await withGuardedEdge(identity, [Self.list]) { edge in
      for (header, subject) in [(ownKey, "key:1"), ("Authorization: Bearer a.b.c", "account:7")] {
        for _ in 0..<2 {
          let response = try await edge.request("GET", "/stores", headers: [header])
          #expect(response.status == 200 && response.member("nextCursor") == subject)
        }
      }
      #expect(identity.state.withLock { $0.exchanges } == 2)
      #expect(identity.state.withLock { $0.addresses } == ["127.0.0.1", "127.0.0.1"])
    }
  }

  @Test("is refused with a credential that nobody knows, and asked for once")
  func unknown() async throws {
    try await withGuardedEdge(identity, [Self.list]) { edge in
      for _ in 0..<3 {
        let response = try await edge.request("GET", "/stores", headers: ["X-API-Key: \(apiKey(2))"])
        #expect(response.status == 401 && response.member("code") == "INVALID_API_KEY")
        #expect(
          response["WWW-Authenticate"]
            == "Bearer realm=\"mainstreet\", error=\"invalid_token\", error_description=\"The API key is not known.\""
        )
      }
      #expect(identity.state.withLock { $0.exchanges } == 1)
    }
  }

  @Test("is not asked for with a credential that is none of ours")
  func malformed() async throws {
    try await withGuardedEdge(identity, [Self.list]) { edge in
      for headers in [["X-API-Key: msk_dev_x"], ["Authorization: Bearer x"], ["Authorization: Basic eA=="]] {
        try await edge.expect(401, of: "/stores", headers[0])
      }
      let both = try await edge.request(
        "GET", "/stores", headers: [ownKey, "Authorization: Bearer a.b.c"])
      #expect(both.status == 400 && both.member("code") == "SEVERAL_CREDENTIALS")
      #expect(identity.state.withLock { $0.exchanges } == 0)
    }
  }

  @Test("is refused to whom the contract does not name, with what it takes, before the body is there")
  func forbidden() async throws {
    identity.add("a.b.c", .init(roles: ["viewer"]))
    identity.add(apiKey(3), .init(subject: "key:3", scopes: ["stores.read"]))
    try await withGuardedEdge(identity, [Self.create]) { edge in
      for (header, scope) in [
        ("Authorization: Bearer a.b.c", ""), ("X-API-Key: \(apiKey(3))", ", scope=\"stores.write\""),
      ] {
        for _ in 0..<2 {
          // The body is none that the route would take.
          let response = try await edge.request("POST", "/stores", "[", headers: [header])
          #expect(response.status == 403 && response.member("code") == "PERMISSION_DENIED")
          #expect(response.member("scopes") == "stores.write")
          #expect(response.member("roles") == "owner,admin,manager,staff")
          #expect(
            response["WWW-Authenticate"]?.hasPrefix(
              "Bearer realm=\"mainstreet\", error=\"insufficient_scope\"") == true)
          #expect(response["WWW-Authenticate"]?.hasSuffix(scope) == true)
        }
      }
    }
  }

  @Test("takes a body whether its caller was known before or not")
  func bodies() async throws {
    try await withGuardedEdge(identity, [Self.create, Self.imports]) { edge in
      for _ in 0..<2 {
        let created = try await edge.request("POST", "/stores", "{\"name\": \"x\"}", headers: [ownKey])
        #expect(created.status == 201)
      }
    }
    try await withGuardedEdge(identity, [Self.imports]) { edge in
      let csv = String(repeating: "x", count: 300_000)
      for _ in 0..<2 {
        let imported = try await edge.request(
          "POST", "/imports/polls", csv, headers: [ownKey, "Content-Type: text/csv"])
        #expect(imported.status == 200 && imported.member("accepted") == "300000")
      }
    }
  }

  @Test("is asked for once by all that come at the same time")
  func singleFlight() async throws {
    let gate = Signal()
    identity.gate.withLock { $0 = gate }
    try await withGuardedEdge(identity, [Self.list]) { edge in
      try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<20 {
          group.addTask { try await edge.request("GET", "/stores", headers: [ownKey]).status }
        }
        while identity.state.withLock({ $0.exchanges }) == 0 { try await Task.sleep(for: .milliseconds(2)) }
        await gate.raise()
        for try await status in group { #expect(status == 200) }
      }
      #expect(identity.state.withLock { $0.exchanges } == 1)
    }
  }

  @Test("ends when the key is revoked")
  func revoked() async throws {
    try await withGuardedEdge(identity, [Self.list]) { edge in
      try await edge.expect(200, of: "/stores", ownKey)
      identity.revoke("key:1")
      try await eventually { try await edge.request("GET", "/stores", headers: [ownKey]).status == 401 }
    }
  }

  @Test("is asked for each time while revocations are silent, and unavailable when identity is, too")
  func silent() async throws {
    var known = KnownCallers.Limits()
    known.silence = .milliseconds(300)
    try await withGuardedEdge(identity, [Self.list], known: known) { edge in
      try await edge.expect(200, of: "/stores", ownKey)
      identity.state.withLock { $0.isSilent = true }
      try await eventually {
        let before = identity.state.withLock { $0.exchanges }
        try await edge.expect(200, of: "/stores", ownKey)
        try await edge.expect(200, of: "/stores", ownKey)
        return identity.state.withLock { $0.exchanges } == before + 2
      }
      identity.state.withLock { $0.isDown = true }
      let response = try await edge.request("GET", "/stores", headers: [ownKey])
      #expect(response.status == 503 && response.member("code") == "IDENTITY_UNAVAILABLE")
      #expect(response["Retry-After"] == "1")
      identity.state.withLock { state in
        state.isDown = false
        state.isSilent = false
      }
      try await eventually { try await edge.request("GET", "/stores", headers: [ownKey]).status == 200 }
    }
  }

  @Test("goes on while identity is away, for who is known")
  func identityDown() async throws {
    try await withGuardedEdge(identity, [Self.list]) { edge in
      try await edge.expect(200, of: "/stores", ownKey)
      identity.state.withLock { $0.isDown = true }
      try await edge.expect(200, of: "/stores", ownKey)
      try await edge.expect(503, of: "/stores", "X-API-Key: \(apiKey(9))")
    }
  }

  @Test("is renewed before it ends, while its caller does not wait")
  func renewed() async throws {
    identity.add(Self.key, .init(subject: "key:1", scopes: ["*"], lifetimeSeconds: 2))
    try await withGuardedEdge(identity, [Self.list]) { edge in
      try await eventually {
        try await edge.expect(200, of: "/stores", ownKey)
        return identity.state.withLock { $0.exchanges } >= 3
      }
    }
  }
}

/// What the caller of these tests shows.
private let ownKey = "X-API-Key: \(apiKey(1))"

/// Looks again and again, for ten seconds at most, until it is so.
func eventually(
  sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + .seconds(10)
  while ContinuousClock.now < end {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(2))
  }
  Issue.record("it has not come to that within ten seconds", sourceLocation: sourceLocation)
}
