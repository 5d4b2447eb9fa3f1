import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Signing in")
struct SignInTests {
  @Test("Whoever signs up is owner of a tenant and signed in")
  func registered() async throws {
    try await TestHouse.with { house in
      let answer = try await house.identity.register(
        RegisterRequest(email: "Owner@Example.com", password: TestHouse.password, name: "Corner shop"),
        options: try await house.edge()
      ).message
      let studio = try #require(answer.studio)
      #expect(studio.name == "Corner shop")
      #expect(studio.slug == "corner-shop")
      #expect(answer.expiresIn == 600)
      let options = try await house.acting(.accessToken(answer.token))
      let member = try #require(
        try await house.identity.listMembers(.init(), options: options).message.members.first)
      #expect(member.email == "Owner@Example.com")
      #expect(member.role == .owner)
      let told = try await house.audit(of: try #require(UUID(studio.id)))
      #expect(told == ["sign_in.succeeded", "member.added", "account.created", "tenant.created"])
      try await expectReason("EMAIL_TAKEN") { try await house.register(email: "OWNER@example.com") }
    }
  }

  @Test("Signs in by email in whatever case, and tells the place")
  func login() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let answer = try await house.identity.login(
        LoginRequest(email: "OWNER@EXAMPLE.COM", password: TestHouse.password),
        options: try await house.edge()
      ).message
      #expect(answer.studio?.id == "\(owner.tenant)")
      #expect(answer.member?.role == .owner)
      #expect(answer.member?.accountId == "\(owner.account)")
      #expect(try await house.exchange(.accessToken(answer.token)).claims?.roles == ["owner"])
    }
  }

  @Test("The older call tells the shop")
  func authenticate() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      func authenticate(_ password: String) async throws -> AuthenticateResponse {
        try await house.identity.authenticate(
          AuthenticateRequest(email: owner.email, password: password), options: try await house.edge()
        ).message
      }
      var answer = try await authenticate(TestHouse.password)
      #expect(answer.success)
      #expect(answer.email == owner.email)
      #expect(answer.shopId == "\(owner.tenant)")
      #expect(answer.shopDomain == "")
      _ = try await house.identity.updateTenant(
        UpdateTenantRequest(shopDomain: "corner.myshopify.com"), options: try await house.acting(as: owner))
      answer = try await authenticate(TestHouse.password)
      #expect(answer.shopDomain == "corner.myshopify.com")
      _ = try await house.exchange(.accessToken(answer.token))
      try await expectReason("INVALID_CREDENTIALS") { try await authenticate("guess") }
    }
  }

  @Test("A wrong password and an unknown email are the same, to the caller and in what they cost")
  func wrong() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      func cost(_ email: String) async throws -> Int {
        let before = house.passwords.computations
        try await expectReason("INVALID_CREDENTIALS") { try await house.login(email, password: "guess") }
        return house.passwords.computations - before
      }
      #expect(try await cost(owner.email) == 1)
      #expect(try await cost("nobody@example.com") == 1)
      let events = try await house.identity.listAuditEvents(
        ListAuditEventsRequest(action: "sign_in.failed"), options: try await house.acting(as: owner)
      ).message.events
      #expect(events.count == 1)
      #expect(events.first?.actor == "anonymous")
      #expect(events.first?.target == "account:\(owner.account)")
      #expect(events.first?.address == "203.0.113.9")
      #expect(events.first?.requestId == "request-1")
      #expect(events.first?.details == #"{"email": "owner@example.com"}"#)
      #expect(try await house.audit(of: .noTenant).filter { $0 == "sign_in.failed" }.count == 1)
    }
  }

  @Test("Who has places in several tenants signs in to the first, or to the one that is named")
  func places() async throws {
    try await TestHouse.with { house in
      let first = try await house.register("First", email: "first@example.com")
      let second = try await house.register("Second", email: "second@example.com")
      house.clock.advance(by: .seconds(1))
      let there = try await house.invite(first.email, as: .viewer, by: second)
      #expect(there.account == first.account)
      #expect(there.tenant == second.tenant)
      #expect(try await house.login(first.email).tenant == first.tenant)
      let named = try await house.login(first.email, tenant: "second")
      #expect(named.tenant == second.tenant)
      #expect(try await house.tokens.verify(named.token).roles == ["viewer"])
      for slug in ["first", "nowhere"] {
        try await expectReason("NOT_A_MEMBER") { try await house.login(second.email, tenant: slug) }
      }
    }
  }

  @Test("A password that was hashed elsewhere counts, and is hashed our way when it is used")
  func rehashed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      // "correct horse", by another implementation, with each of the prefixes.
      for hash in BcryptTests.hashes.map(\.hash) {
        try await house.superuser.run(
          sql: "UPDATE identity.accounts SET password_hash = '\(hash)' WHERE account_id = '\(owner.account)'")
        try await expectReason("INVALID_CREDENTIALS") { try await house.login(password: "guess") }
        _ = try await house.login(password: BcryptTests.password)
        let account = try await house.postgres.executeOne(FindAccount(account: owner.account), tenant: nil)
        #expect(account?.passwordHash.hasPrefix(TestHouse.lowCost.prefix) == true)
        _ = try await house.login(password: BcryptTests.password)
      }
    }
  }

  @Test("A platform admin is made once, acts in no tenant, and in one only by name, which its log tells")
  func platformAdmin() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      func make(_ email: String) async throws {
        try await BootstrapAdmin.make(
          email, password: TestHouse.password, on: house.postgres, now: house.clock.now)
      }
      await #expect(throws: PlatformAdminError.emailTaken) { try await make(owner.email) }
      try await make("root@example.com")
      await #expect(throws: PlatformAdminError.exists) { try await make("other@example.com") }

      let admin = try await house.login("root@example.com")
      #expect(admin.tenant == .noTenant)
      let exchanged = try await house.exchange(.accessToken(admin.token))
      #expect(exchanged.claims?.roles == ["platform_admin"])
      #expect(exchanged.claims?.tenantId == "")
      let options = try await house.acting(as: admin)
      try await expectReason("PERMISSION_DENIED") {
        try await house.identity.getTenant(.init(), options: options)
      }
      let events = try await house.identity.listAuditEvents(.init(), options: options).message.events
      #expect(events.map(\.action).prefix(2) == ["sign_in.succeeded", "platform_admin.created"])

      let inside = try await house.login("root@example.com", tenant: "corner-shop")
      #expect(inside.tenant == owner.tenant)
      let there = try await house.acting(as: inside)
      #expect(try await house.identity.getTenant(.init(), options: there).message.name == "Corner shop")
      #expect(
        try await house.audit(of: owner.tenant).prefix(2) == ["sign_in.succeeded", "platform_admin.entered"])
      let member = try await house.identity.updateMember(
        UpdateMemberRequest(accountId: "\(owner.account)", role: .owner), options: there)
      #expect(member.message.role == .owner)
      try await expectReason("NOT_A_MEMBER") { try await house.login("root@example.com", tenant: "nowhere") }
    }
  }

  @Test("A new password counts, the old one does not, and other sessions end")
  func changed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let other = try await house.login()
      let options = try await house.acting(as: owner)
      func change(_ current: String, keeping token: String?) async throws {
        _ = try await house.identity.changePassword(
          ChangePasswordRequest(currentPassword: current, newPassword: "another horse", refreshToken: token),
          options: options)
      }
      try await expectReason("WRONG_PASSWORD") { try await change("guess", keeping: nil) }
      try await change(TestHouse.password, keeping: owner.refreshToken)
      _ = try await house.exchange(.accessToken(owner.token))
      try await expectReason("SESSION_ENDED") { try await house.exchange(.accessToken(other.token)) }
      let session = try await house.tokens.verify(other.token).session
      #expect(try await house.revoked() == ["session:\(session)"])
      try await expectReason("INVALID_CREDENTIALS") { try await house.login() }
      _ = try await house.login(password: "another horse")
      // A token of somebody else keeps nobody's session.
      let stranger = try await house.register("Other", email: "other@example.com")
      _ = try await house.identity.changePassword(
        ChangePasswordRequest(
          currentPassword: "another horse", newPassword: TestHouse.password,
          refreshToken: stranger.refreshToken),
        options: options)
      try await expectReason("SESSION_ENDED") { try await house.exchange(.accessToken(owner.token)) }
      _ = try await house.exchange(.accessToken(stranger.token))
    }
  }
}
