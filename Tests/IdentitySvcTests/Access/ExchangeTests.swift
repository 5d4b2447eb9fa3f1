import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Exchanging credentials")
struct ExchangeTests {
  @Test("A key opens its tenant, with its scopes, and a revocation would name it")
  func key() async throws {
    try await TestHouse.with { house in
      let opened = try await house.identity.createTenant(
        CreateTenantRequest(name: "Corner shop"), options: try await house.edge()
      ).message
      let exchanged = try await house.exchange(.apiKey(opened.apiKey))
      let claims = try #require(exchanged.claims)
      #expect(claims.tenantId == opened.id)
      #expect(claims.scopes == ["*"])
      #expect(claims.roles == [])
      #expect(exchanged.revocationIds == [claims.subject, "tenant:\(opened.id)"])
      #expect(exchanged.plan == .free)
      #expect(exchanged.rateLimits == [])
      #expect(exchanged.expiresAt?.seconds == house.clock.now.seconds + 300)
      let told = try await house.identity.getCaller(
        .init(), options: CallOptions(metadata: [Principal.metadataKey: exchanged.principal])
      ).message
      #expect(told.subject == claims.subject)
      #expect(told.tenantId == opened.id)
    }
  }

  @Test("What was never a key, one nobody has, and one with a typo are not known")
  func unknown() async throws {
    try await TestHouse.with { house in
      let opened = try await house.identity.createTenant(
        CreateTenantRequest(name: "Corner shop"), options: try await house.edge()
      ).message
      let typo = String(opened.apiKey.dropLast()) + (opened.apiKey.hasSuffix("0") ? "1" : "0")
      for key in [
        "", "msk_", "secret", ApiKeyText.random(environment: "live").text, typo, opened.apiKey + "x",
      ] {
        try await expectReason("INVALID_API_KEY") { try await house.exchange(.apiKey(key)) }
      }
    }
  }

  @Test("A key ends when it was told to, and its principal not later")
  func expiry() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let end = Timestamp(seconds: house.clock.now.seconds + 60)
      let made = try await house.identity.createApiKey(
        CreateApiKeyRequest(name: "till", scopes: ["stores.read"], expiresAt: end),
        options: try await house.acting(as: owner)
      ).message
      #expect(try await house.exchange(.apiKey(made.key)).expiresAt == end)
      house.clock.advance(by: .seconds(61))
      try await expectReason("API_KEY_EXPIRED") { try await house.exchange(.apiKey(made.key)) }
    }
  }

  @Test("Limits that are a tenant's own come with its credentials")
  func limits() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      try await house.superuser.run(
        sql:
          "INSERT INTO identity.rate_limits VALUES ('\(owner.tenant)', 'query', 500), ('\(owner.tenant)', 'auth', 5)"
      )
      let limits = [
        RateLimit(rateClass: "auth", perMinute: 5), RateLimit(rateClass: "query", perMinute: 500),
      ]
      #expect(try await house.exchange(.accessToken(owner.token)).rateLimits == limits)
    }
  }

  @Test("Without a principal, and with one of a tenant's, nobody exchanges credentials")
  func guarded() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let request = ExchangeCredentialRequest(credential: .accessToken(owner.token))
      try await expectReason("UNAUTHENTICATED") { try await house.access.exchangeCredential(request) }
      try await expectReason("PERMISSION_DENIED") {
        try await house.access.exchangeCredential(request, options: try await house.acting(as: owner))
      }
      try await expectReason("VALIDATION_FAILED") {
        try await house.access.exchangeCredential(.init(), options: try await house.edge())
      }
    }
  }

  @Test("When a key was last used is told to the minute, and written once a minute")
  func lastUsed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let options = try await house.acting(as: owner)
      let made = try await house.identity.createApiKey(CreateApiKeyRequest(name: "till"), options: options)
        .message
      func lastUsed() async throws -> Int64? {
        try await house.identity.listApiKeys(.init(), options: options).message.apiKeys
          .first { $0.id == made.apiKey?.id }?.lastUsedAt?.seconds
      }
      #expect(try await lastUsed() == nil)
      _ = try await house.exchange(.apiKey(made.key))
      await house.keyUses.write()
      let minute = house.clock.now.seconds / 60 * 60
      #expect(try await lastUsed() == minute)
      _ = try await house.exchange(.apiKey(made.key))
      #expect(house.keyUses.notedCount == 0)
      house.clock.advance(by: .seconds(60))
      _ = try await house.exchange(.apiKey(made.key))
      #expect(house.keyUses.notedCount == 1)
      await house.keyUses.write()
      #expect(try await lastUsed() == minute + 60)
    }
  }
}

@Suite("Principals of programs")
struct ServicePrincipalTests {
  @Test("A program has a principal for its secret, which lets it exchange credentials")
  func issued() async throws {
    try await TestHouse.with { house in
      let answer = try await house.access.issueServicePrincipal(
        IssueServicePrincipalRequest(service: "edge", secret: TestHouse.edgeSecret)
      ).message
      #expect(answer.expiresAt?.seconds == house.clock.now.seconds + 300)
      let opened = try await house.identity.createTenant(
        CreateTenantRequest(name: "x"),
        options: CallOptions(metadata: [Principal.metadataKey: answer.principal]))
      _ = try await house.exchange(.apiKey(opened.message.apiKey))
    }
  }

  @Test("Another secret, another name and no secret are refused")
  func refused() async throws {
    try await TestHouse.with { house in
      for (name, secret) in [
        ("edge", "guess"), ("store", TestHouse.edgeSecret), ("Edge", TestHouse.edgeSecret),
      ] {
        try await expectReason("INVALID_SERVICE_SECRET") {
          try await house.access.issueServicePrincipal(
            IssueServicePrincipalRequest(service: name, secret: secret))
        }
      }
    }
  }

  @Test("A principal that has expired, and one that was tampered with, count for nothing")
  func expired() async throws {
    try await TestHouse.with { house in
      let edge = try await house.edge()
      let request = ExchangeCredentialRequest(credential: .apiKey("x"))
      try await expectReason("INVALID_API_KEY") {
        try await house.access.exchangeCredential(request, options: edge)
      }
      var tampered = edge
      let text = try #require(edge.metadata[Principal.metadataKey])
      let parts = text.split(separator: ".").map(String.init)
      tampered.metadata[Principal.metadataKey] =
        [parts[0], parts[1], String(parts[2].dropLast(4)) + "AAAA", parts[3]].joined(separator: ".")
      try await expectReason("PRINCIPAL_NOT_SIGNED") {
        try await house.access.exchangeCredential(request, options: tampered)
      }
      house.clock.advance(by: .seconds(310))
      try await expectReason("PRINCIPAL_EXPIRED") {
        try await house.access.exchangeCredential(request, options: edge)
      }
    }
  }

  @Test("A secret may be changed while both count; what is no list of secrets stops the start")
  func secrets() throws {
    let both = try ServiceSecrets(
      "edge=\(TestHouse.hex("old")),edge=\(TestHouse.hex("new")),store=\(TestHouse.hex("s"))")
    #expect(both.admit("old", of: "edge"))
    #expect(both.admit("new", of: "edge"))
    #expect(!both.admit("s", of: "edge"))
    #expect(both.admit("s", of: "store"))
    #expect(!both.admit("", of: "nobody"))
    for text in [
      "edge", "edge=12", "edge=\(TestHouse.hex("x"))0", "=\(TestHouse.hex("x"))",
      "edge=\(String(repeating: "g", count: 64))",
    ] {
      #expect(throws: StartupFailure.self) { try ServiceSecrets(text) }
    }
  }
}
