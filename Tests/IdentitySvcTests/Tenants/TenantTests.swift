import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Tenants")
struct TenantTests {
  @Test("A tenant is opened with a key, and the log tells of both")
  func created() async throws {
    try await TestHouse.with { house in
      let answer = try await house.identity.createTenant(
        CreateTenantRequest(name: "Café Zoë & Sons", timezone: "Europe/Vienna", currency: "EUR"),
        options: try await house.edge()
      ).message
      let tenant = try #require(answer.tenant)
      #expect(tenant.id == answer.id)
      #expect(tenant.slug == "caf-zo-sons")
      #expect(tenant.plan == .free)
      #expect(tenant.timezone == "Europe/Vienna")
      #expect(tenant.currency == "EUR")
      #expect(tenant.settings == "{}")
      #expect(answer.apiKey.hasPrefix("msk_live_"))
      let read = try await house.identity.getTenant(
        .init(), options: try await house.acting(.apiKey(answer.apiKey)))
      #expect(read.message == tenant)
      #expect(
        try await house.audit(of: try #require(UUID(answer.id))) == ["api_key.created", "tenant.created"])
    }
  }

  @Test("A slug that was asked for is had or refused; one that is made up gives way")
  func slugs() async throws {
    try await TestHouse.with { house in
      let edge = try await house.edge()
      func open(_ name: String, slug: String? = nil) async throws -> String? {
        try await house.identity.createTenant(CreateTenantRequest(name: name, slug: slug), options: edge)
          .message.tenant?.slug
      }
      #expect(try await open("Shop", slug: "corner") == "corner")
      try await expectReason("SLUG_TAKEN") { try await open("Shop", slug: "corner") }
      let second = try #require(try await open("Corner"))
      #expect(second.hasPrefix("corner-") && second.count == 13)
      #expect(try #require(try await open("日本")).hasPrefix("tenant-"))
      try await expectReason("VALIDATION_FAILED") {
        try await house.identity.createTenant(
          CreateTenantRequest(name: "x", timezone: "America//Chicago"), options: edge)
      }
    }
  }

  @Test("Where sign-up is closed only platform admins open tenants")
  func closed() async throws {
    try await TestHouse.with(policy: IdentityPolicy()) { house in
      let edge = try await house.edge()
      try await expectReason("SIGN_UP_CLOSED") {
        try await house.identity.createTenant(CreateTenantRequest(name: "x"), options: edge)
      }
      try await expectReason("SIGN_UP_CLOSED") { try await house.register() }
      try await BootstrapAdmin.make(
        "root@example.com", password: TestHouse.password, on: house.postgres, now: house.clock.now)
      let admin = try await house.login("root@example.com")
      let opened = try await house.identity.createTenant(
        CreateTenantRequest(name: "x"), options: try await house.acting(as: admin))
      #expect(opened.message.tenant?.name == "x")
    }
  }

  @Test("What is told of a tenant changes, and what is not stays")
  func updated() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let options = try await house.acting(as: owner)
      func update(_ request: UpdateTenantRequest) async throws -> Tenant {
        try await house.identity.updateTenant(request, options: options).message
      }
      var tenant = try await update(
        UpdateTenantRequest(shopDomain: "corner.myshopify.com", settings: #"{"theme": "dark"}"#))
      #expect(tenant.name == "Corner shop")
      #expect(tenant.shopDomain == "corner.myshopify.com")
      #expect(tenant.settings == #"{"theme": "dark"}"#)
      tenant = try await update(UpdateTenantRequest(name: "Café", currency: "EUR", shopDomain: ""))
      #expect(tenant.name == "Café")
      #expect(tenant.currency == "EUR")
      #expect(tenant.shopDomain == nil)
      #expect(tenant.settings == #"{"theme": "dark"}"#)
      #expect(try await house.audit(of: owner.tenant).prefix(2) == ["tenant.updated", "tenant.updated"])
      for settings in ["[]", "1", "{", "nonsense"] {
        await #expect(throws: RPCError.self) { try await update(UpdateTenantRequest(settings: settings)) }
      }
    }
  }

  @Test("A tenant sees itself and no other")
  func isolated() async throws {
    try await TestHouse.with { house in
      let first = try await house.register("First", email: "first@example.com")
      let second = try await house.register("Second", email: "second@example.com")
      let key = try await house.identity.createApiKey(
        CreateApiKeyRequest(name: "till"), options: try await house.acting(as: first)
      ).message
      let invitation = try await house.identity.createInvitation(
        CreateInvitationRequest(email: "guest@example.com", role: .staff),
        options: try await house.acting(as: first)
      ).message
      let options = try await house.acting(as: second)
      #expect(try await house.identity.getTenant(.init(), options: options).message.name == "Second")
      #expect(
        try await house.identity.listMembers(.init(), options: options).message.members.map(\.email) == [
          second.email
        ])
      #expect(try await house.identity.listApiKeys(.init(), options: options).message.apiKeys == [])
      #expect(try await house.identity.listInvitations(.init(), options: options).message.invitations == [])
      let events = try await house.identity.listAuditEvents(.init(), options: options).message.events
      #expect(!events.contains { $0.target.contains("\(first.account)") })
      let keyID = key.apiKey?.id ?? ""
      try await expectReason("API_KEY_NOT_FOUND") {
        try await house.identity.revokeApiKey(RevokeApiKeyRequest(keyId: keyID), options: options)
      }
      try await expectReason("API_KEY_NOT_FOUND") {
        try await house.identity.rotateApiKey(RotateApiKeyRequest(keyId: keyID), options: options)
      }
      try await expectReason("INVITATION_NOT_FOUND") {
        try await house.identity.revokeInvitation(
          RevokeInvitationRequest(invitationId: invitation.invitation?.id ?? ""), options: options)
      }
      try await expectReason("MEMBER_NOT_FOUND") {
        try await house.identity.updateMember(
          UpdateMemberRequest(accountId: "\(first.account)", role: .viewer), options: options)
      }
      try await expectReason("MEMBER_NOT_FOUND") {
        try await house.identity.removeMember(
          RemoveMemberRequest(accountId: "\(first.account)"), options: options)
      }
      _ = try await house.exchange(.apiKey(key.key))
    }
  }

  @Test("Seeding makes a tenant and its key once")
  func seeded() async throws {
    try await TestHouse.with { house in
      let id = UUID.v7(now: house.clock.now)
      let key = ApiKeyText.random(environment: "dev")
      func seed(_ id: UUID) async throws -> [String] {
        try await SeedTenant.seed(id, name: "Demo", key: key, on: house.postgres, now: house.clock.now)
      }
      let first = try await seed(id)
      #expect(first == ["opened the tenant demo", "added the key \(key.prefix)…"])
      let second = try await seed(id)
      #expect(second == [])
      let exchanged = try await house.exchange(.apiKey(key.text))
      #expect(exchanged.claims?.tenantId == "\(id)")
      await #expect(throws: StartupFailure.self) { try await seed(.v7(now: house.clock.now)) }
    }
  }
}

@Suite("Slugs")
struct SlugRulesTests {
  @Test(
    "A slug is made of the letters and digits of a name",
    arguments: [
      ("Corner Shop", "corner-shop"), ("  --A  b--", "a-b"), ("ÉCLAIR 24/7", "clair-24-7"), ("x", "x-s1"),
      ("", "tenant-s1"), ("日本", "tenant-s1"),
      (String(repeating: "ab ", count: 40), String(repeating: "ab-", count: 20) + "ab"),
    ])
  func made(_ name: String, _ slug: String) {
    #expect(SlugRules.candidates(name: name, suffixes: ["s1"]).first == slug)
  }

  @Test("No slug is longer than one may be")
  func long() {
    let candidates = SlugRules.candidates(
      name: String(repeating: "a", count: 200), suffixes: ["123456", "654321"])
    #expect(candidates.map(\.count) == [63, 63, 63])
    #expect(Set(candidates).count == 3)
  }
}
