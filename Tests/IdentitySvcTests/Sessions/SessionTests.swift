import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Sessions")
struct SessionTests {
  private func refresh(_ token: String, in house: TestHouse) async throws -> RefreshSessionResponse {
    try await house.identity.refreshSession(
      RefreshSessionRequest(refreshToken: token), options: try await house.edge()
    ).message
  }

  @Test("A refresh token gives a new pair, for the same session")
  func refreshed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      #expect(owner.refreshToken.hasPrefix("msr_") && owner.refreshToken.count == 47)
      house.clock.advance(by: .hours(1))
      let next = try await refresh(owner.refreshToken, in: house)
      #expect(next.refreshToken != owner.refreshToken)
      #expect(next.expiresIn == 600)
      let claims = try await house.tokens.verify(next.token)
      #expect(claims.account == owner.account)
      #expect(claims.tenant == owner.tenant)
      _ = try await house.exchange(.accessToken(next.token))
      house.clock.advance(by: .hours(1))
      let third = try await refresh(next.refreshToken, in: house)
      #expect(try await house.tokens.verify(third.token).session == claims.session)
    }
  }

  @Test("A token that is used again ends the session: its tokens, its access tokens, and the log tells")
  func reused() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let next = try await refresh(owner.refreshToken, in: house)
      let other = try await house.login()
      try await expectReason("REFRESH_TOKEN_REUSED") { try await refresh(owner.refreshToken, in: house) }
      try await expectReason("SESSION_ENDED") { try await refresh(next.refreshToken, in: house) }
      try await expectReason("SESSION_ENDED") { try await refresh(owner.refreshToken, in: house) }
      try await expectReason("SESSION_ENDED") { try await house.exchange(.accessToken(next.token)) }
      let session = try await house.tokens.verify(next.token).session
      #expect(try await house.revoked() == ["session:\(session)"])
      #expect(
        try await house.audit(of: owner.tenant).filter { $0.hasPrefix("session.") } == ["session.reused"])
      // Another sign-in of the same person goes on.
      _ = try await refresh(other.refreshToken, in: house)
    }
  }

  @Test("Of two who use a token at once one is served, and then nobody any more")
  func raced() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let edge = try await house.edge()
      let outcomes = await withTaskGroup(of: Swift.Result<RefreshSessionResponse, any Error>.self) { group in
        for _ in 0..<8 {
          group.addTask {
            do {
              return .success(
                try await house.identity.refreshSession(
                  RefreshSessionRequest(refreshToken: owner.refreshToken), options: edge
                ).message)
            } catch { return .failure(error) }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      let served = outcomes.compactMap { try? $0.get() }
      let reasons = outcomes.compactMap { outcome -> String? in
        if case .failure(let error) = outcome { return (error as? RPCError)?.reason } else { return nil }
      }
      #expect(served.count == 1)
      #expect(reasons.sorted() == ["REFRESH_TOKEN_REUSED"] + Array(repeating: "SESSION_ENDED", count: 6))
      try await expectReason("SESSION_ENDED") {
        try await refresh(try #require(served.first).refreshToken, in: house)
      }
    }
  }

  @Test("A session lasts for thirty days after its last refresh")
  func expired() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      house.clock.advance(by: .days(29))
      let next = try await refresh(owner.refreshToken, in: house)
      house.clock.advance(by: .days(29))
      let third = try await refresh(next.refreshToken, in: house)
      house.clock.advance(by: .days(31))
      try await expectReason("REFRESH_TOKEN_EXPIRED") { try await refresh(third.refreshToken, in: house) }
      try await expectReason("INVALID_REFRESH_TOKEN") { try await refresh("msr_guess", in: house) }
    }
  }

  @Test("Who signs out is out at once, and may do so twice")
  func signedOut() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let edge = try await house.edge()
      for token in [owner.refreshToken, owner.refreshToken, "msr_unknown"] {
        _ = try await house.identity.logout(LogoutRequest(refreshToken: token), options: edge)
      }
      try await expectReason("SESSION_ENDED") { try await house.exchange(.accessToken(owner.token)) }
      try await expectReason("SESSION_ENDED") { try await refresh(owner.refreshToken, in: house) }
      #expect(try await house.audit(of: owner.tenant).filter { $0 == "session.ended" }.count == 1)
      #expect(try await house.revoked().count == 1)
    }
  }

  @Test("A new role counts at the next refresh and the next exchange")
  func role() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let guest = try await house.invite("guest@example.com", as: .staff, by: owner)
      _ = try await house.identity.updateMember(
        UpdateMemberRequest(accountId: "\(guest.account)", role: .viewer),
        options: try await house.acting(as: owner))
      #expect(try await house.exchange(.accessToken(guest.token)).claims?.roles == ["viewer"])
      let next = try await refresh(guest.refreshToken, in: house)
      #expect(try await house.tokens.verify(next.token).roles == ["viewer"])
      #expect(try await house.revoked() == ["member:\(owner.tenant)/\(guest.account)"])
    }
  }

  @Test("What is refused, and what ends a session, is decided of a token and the time")
  func rules() {
    let now = Instant(microseconds: 1_000_000)
    func decide(ended: Bool = false, used: Bool = false, expiresIn seconds: Int = 1) -> RefreshRules.Verdict {
      RefreshRules.decide(.init(hasEnded: ended, expiresAt: now + .seconds(seconds), isUsed: used), now: now)
    }
    #expect(RefreshRules.decide(nil, now: now) == .refuse(.unknownToken))
    #expect(decide() == .rotate)
    #expect(decide(expiresIn: 0) == .refuse(.expired))
    #expect(decide(used: true) == .end)
    #expect(decide(used: true, expiresIn: -1) == .end)
    #expect(decide(ended: true, used: true) == .refuse(.ended))
  }
}

extension TestHouse {
  /// What was revoked, in order.
  func revoked() async throws -> [String] {
    try await postgres.execute(ListRevocations(after: 0, most: 1000), tenant: nil).map(\.id)
  }
}
