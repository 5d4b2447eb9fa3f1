import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("API keys")
struct ApiKeyTests {
  private func create(
    _ name: String = "till", scopes: [String] = [], expiresAt: Timestamp? = nil, _ options: CallOptions,
    in house: TestHouse
  ) async throws -> CreateApiKeyResponse {
    try await house.identity.createApiKey(
      CreateApiKeyRequest(name: name, scopes: scopes, expiresAt: expiresAt), options: options
    ).message
  }

  private func rotate(_ key: ApiKey?, _ options: CallOptions, in house: TestHouse) async throws
    -> CreateApiKeyResponse
  {
    try await house.identity.rotateApiKey(RotateApiKeyRequest(keyId: key?.id ?? ""), options: options).message
  }

  private func revoke(_ key: ApiKey?, _ options: CallOptions, in house: TestHouse) async throws {
    _ = try await house.identity.revokeApiKey(RevokeApiKeyRequest(keyId: key?.id ?? ""), options: options)
  }

  @Test("A key is shown once; what is remembered of it tells it from others and opens nothing")
  func created() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let options = try await house.acting(as: owner)
      let made = try await create(scopes: ["stores.read", "polls.write", "stores.read"], options, in: house)
      let key = try #require(made.apiKey)
      #expect(made.key.hasPrefix(key.prefix))
      #expect(key.prefix.count == "msk_live_".count + 4)
      #expect(key.scopes == ["polls.write", "stores.read"])
      let exchanged = try await house.exchange(.apiKey(made.key))
      #expect(exchanged.claims?.scopes == key.scopes)
      #expect(exchanged.claims?.subject == "key:\(key.id)")
      let second = try await create("other", options, in: house)
      #expect(second.apiKey?.scopes == ["*"])
      let listed = try await house.identity.listApiKeys(ListApiKeysRequest(limit: 1), options: options)
        .message
      #expect(listed.apiKeys.map(\.name) == ["other"])
      let rest = try await house.identity.listApiKeys(
        ListApiKeysRequest(cursor: try #require(listed.nextCursor)), options: options
      ).message
      #expect(rest.apiKeys == [key])
      #expect(rest.nextCursor == nil)
      try await expectReason("VALIDATION_FAILED") {
        try await create(expiresAt: Timestamp(seconds: house.clock.now.seconds - 1), options, in: house)
      }
    }
  }

  @Test("A revoked key opens nothing, and every Edge is told")
  func revoked() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let options = try await house.acting(as: owner)
      let made = try await create("till", options, in: house)
      for _ in 0..<2 { try await revoke(made.apiKey, options, in: house) }
      try await expectReason("API_KEY_REVOKED") { try await house.exchange(.apiKey(made.key)) }
      #expect(try await house.revoked() == ["key:\(made.apiKey?.id ?? "")"])
      #expect(try await house.audit(of: owner.tenant).prefix(2) == ["api_key.revoked", "api_key.created"])
      let listed = try await house.identity.listApiKeys(.init(), options: options).message.apiKeys
      #expect(listed.first?.revokedAt != nil)
      try await expectReason("API_KEY_NOT_FOUND") {
        try await house.identity.revokeApiKey(RevokeApiKeyRequest(keyId: "\(owner.tenant)"), options: options)
      }
    }
  }

  @Test("While a key is replaced both work, for a week at most, and no third")
  func rotated() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      var options = try await house.acting(as: owner)
      let first = try await create(scopes: ["stores.read"], options, in: house)
      let second = try await rotate(first.apiKey, options, in: house)
      #expect(second.apiKey?.name == "till")
      #expect(second.apiKey?.scopes == ["stores.read"])
      #expect(second.apiKey?.expiresAt == nil)
      for key in [first.key, second.key] { _ = try await house.exchange(.apiKey(key)) }
      for key in [first.apiKey, second.apiKey] {
        try await expectReason("API_KEY_IN_ROTATION") { try await rotate(key, options, in: house) }
      }
      let listed = try await house.identity.listApiKeys(.init(), options: options).message.apiKeys
      #expect(listed.last?.replacedBy == second.apiKey?.id)
      house.clock.advance(by: .days(7))
      try await expectReason("API_KEY_EXPIRED") { try await house.exchange(.apiKey(first.key)) }
      options = try await house.acting(.accessToken(house.login().token))
      try await expectReason("API_KEY_NOT_WORKING") { try await rotate(first.apiKey, options, in: house) }
      let third = try await rotate(second.apiKey, options, in: house)
      try await revoke(second.apiKey, options, in: house)
      _ = try await house.exchange(.apiKey(third.key))
      #expect(try await house.audit(of: owner.tenant).contains("api_key.rotated"))
    }
  }

  @Test("Two who replace a key at once make one")
  func raced() async throws {
    try await TestHouse.with { house in
      let options = try await house.acting(as: try await house.register())
      let first = try await create("till", options, in: house)
      let reasons = await withTaskGroup(of: String.self) { group in
        for _ in 0..<6 {
          group.addTask {
            do {
              _ = try await rotate(first.apiKey, options, in: house)
              return "rotated"
            } catch { return (error as? RPCError)?.reason ?? "\(error)" }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(reasons.sorted() == Array(repeating: "API_KEY_IN_ROTATION", count: 5) + ["rotated"])
    }
  }

  @Test("A key makes keys, but none that can do more than it")
  func byKey() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let options = try await house.acting(as: owner)
      let maker = try await create("maker", scopes: ["keys.write", "stores.read"], options, in: house)
      let strong = try await create("strong", scopes: ["members.read"], options, in: house)
      let asKey = try await house.acting(.apiKey(maker.key))
      _ = try await create(scopes: ["stores.read"], asKey, in: house)
      for scopes in [[], ["*"], ["stores.read", "members.read"]] {
        try await expectReason("SCOPE_EXCEEDS_OWN") { try await create(scopes: scopes, asKey, in: house) }
      }
      try await expectReason("SCOPE_EXCEEDS_OWN") { try await rotate(strong.apiKey, asKey, in: house) }
      // Nor do keys do what only people do.
      try await expectReason("PERMISSION_DENIED") {
        try await house.identity.createInvitation(
          CreateInvitationRequest(email: "x@example.com", role: .viewer), options: asKey)
      }
    }
  }

  @Test("A tenant has so many keys that work and no more")
  func limit() async throws {
    try await TestHouse.with(policy: IdentityPolicy(isSignUpOpen: true, mostApiKeys: 2)) { house in
      let options = try await house.acting(as: try await house.register())
      let first = try await create("till", options, in: house)
      _ = try await create("till", options, in: house)
      try await expectReason("TOO_MANY_API_KEYS") { try await create("till", options, in: house) }
      try await revoke(first.apiKey, options, in: house)
      _ = try await create("till", options, in: house)
    }
  }

  @Test("The text of a key has a form, and a typo breaks it")
  func text() {
    let key = ApiKeyText.random(environment: "dev").text
    let parts = key.split(separator: "_")
    #expect(parts.map(\.count) == [3, 3, 32, 6])
    #expect(ApiKeyText(key)?.text == key)
    for index in key.indices where key[index] != "_" {
      var typo = key
      typo.replaceSubrange(index...index, with: key[index] == "x" ? "y" : "x")
      #expect(ApiKeyText(typo) == nil, "\(typo)")
    }
    #expect(Set((0..<1000).map { _ in ApiKeyText.random(environment: "dev").text }).count == 1000)
    #expect(CRC32.checksum("123456789".utf8) == 0xCBF4_3926)
    #expect(Base62.text(.max, width: 6) == "4gfFC3")
    #expect(Base62.text(0, width: 6) == "000000")
  }

  @Test("How long keys live that replace each other")
  func rules() throws {
    let now = Instant(microseconds: 1_000_000_000_000)
    func key(expiresIn duration: Duration?, revoked: Bool = false) -> ApiKeyRules.Key {
      ApiKeyRules.Key(createdAt: now - .days(10), expiresAt: duration.map { now + $0 }, isRevoked: revoked)
    }
    func rotate(_ key: ApiKeyRules.Key, beside others: [ApiKeyRules.Key] = []) throws -> ApiKeyRules.Rotation
    {
      try ApiKeyRules.rotate(key, line: [key] + others, now: now)
    }
    #expect(try rotate(key(expiresIn: nil)) == .init(formerExpiresAt: now + .days(7), nextExpiresAt: nil))
    #expect(
      try rotate(key(expiresIn: .days(2)))
        == .init(formerExpiresAt: now + .days(2), nextExpiresAt: now + .days(12)))
    #expect(
      try rotate(key(expiresIn: .days(20)))
        == .init(formerExpiresAt: now + .days(7), nextExpiresAt: now + .days(30)))
    #expect(throws: ApiKeyError.notWorking) { try rotate(key(expiresIn: .zero)) }
    #expect(throws: ApiKeyError.notWorking) { try rotate(key(expiresIn: nil, revoked: true)) }
    #expect(throws: ApiKeyError.inRotation) {
      try rotate(key(expiresIn: nil), beside: [key(expiresIn: .seconds(1))])
    }
    _ = try rotate(key(expiresIn: nil), beside: [key(expiresIn: .zero), key(expiresIn: nil, revoked: true)])
  }
}
