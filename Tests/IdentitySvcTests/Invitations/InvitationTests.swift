import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Invitations")
struct InvitationTests {
  private func invite(
    _ email: String, as role: Role = .staff, by person: TestHouse.Person, in house: TestHouse
  ) async throws -> CreateInvitationResponse {
    try await house.identity.createInvitation(
      CreateInvitationRequest(email: email, role: role), options: try await house.acting(as: person)
    ).message
  }

  private func accept(
    _ token: String, password: String = TestHouse.password, name: String? = "Guest", in house: TestHouse
  ) async throws -> LoginResponse {
    try await house.identity.acceptInvitation(
      AcceptInvitationRequest(token: token, password: password, name: name), options: try await house.edge()
    ).message
  }

  @Test("Who is invited makes an account, has a place and is signed in")
  func accepted() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let invitation = try await invite("Guest@example.com", as: .manager, by: owner, in: house)
      #expect(invitation.token.hasPrefix("msi_"))
      #expect(invitation.invitation?.email == "Guest@example.com")
      let week: Int64 = 7 * 86_400
      #expect(
        invitation.invitation?.expiresAt?.seconds
          == (invitation.invitation?.createdAt?.seconds).map { $0 + week })
      try await expectReason("VALIDATION_FAILED") { try await accept(invitation.token, name: nil, in: house) }
      let answer = try await accept(invitation.token, in: house)
      #expect(answer.studio?.id == "\(owner.tenant)")
      #expect(answer.member?.role == .manager)
      #expect(answer.member?.name == "Guest")
      #expect(try await house.exchange(.accessToken(answer.token)).claims?.roles == ["manager"])
      _ = try await house.login("guest@example.com")
      try await expectReason("INVITATION_CLOSED") { try await accept(invitation.token, in: house) }
      let log = try await house.audit(of: owner.tenant)
      #expect(
        log.prefix(6) == [
          "sign_in.succeeded", "sign_in.succeeded", "invitation.accepted", "member.added", "account.created",
          "invitation.created",
        ])
    }
  }

  @Test("Who has an account proves it")
  func proven() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let guest = try await house.register("Elsewhere", email: "guest@example.com")
      let invitation = try await invite(guest.email, by: owner, in: house)
      try await expectReason("INVALID_CREDENTIALS") {
        try await accept(invitation.token, password: "guess at it", in: house)
      }
      let answer = try await accept(invitation.token, name: nil, in: house)
      #expect(answer.member?.accountId == "\(guest.account)")
      try await expectReason("ALREADY_A_MEMBER") { try await invite(guest.email, by: owner, in: house) }
    }
  }

  @Test("An invitation is open for a week, until it is withdrawn, or until there is another")
  func closed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let first = try await invite("guest@example.com", by: owner, in: house)
      let second = try await invite("GUEST@example.com", by: owner, in: house)
      try await expectReason("INVITATION_CLOSED") { try await accept(first.token, in: house) }
      func listed() async throws -> [String] {
        try await house.identity.listInvitations(
          .init(), options: try await house.acting(.accessToken(house.login().token))
        )
        .message.invitations.map(\.id)
      }
      let id = second.invitation?.id ?? ""
      #expect(try await listed() == [id])
      for _ in 0..<2 {
        _ = try await house.identity.revokeInvitation(
          RevokeInvitationRequest(invitationId: id), options: try await house.acting(as: owner))
      }
      try await expectReason("INVITATION_CLOSED") { try await accept(second.token, in: house) }
      #expect(try await listed() == [])
      let third = try await invite("guest@example.com", by: owner, in: house)
      #expect(try await listed().count == 1)
      house.clock.advance(by: .days(7))
      try await expectReason("INVITATION_EXPIRED") { try await accept(third.token, in: house) }
      #expect(try await listed() == [])
      try await expectReason("INVALID_INVITATION") { try await accept("msi_guess", in: house) }
      try await expectReason("INVITATION_NOT_FOUND") {
        try await house.identity.revokeInvitation(
          RevokeInvitationRequest(invitationId: "\(owner.tenant)"),
          options: try await house.acting(.accessToken(house.login().token)))
      }
      let log = try await house.audit(of: owner.tenant)
      #expect(log.filter { $0 == "invitation.revoked" }.count == 1)
    }
  }

  @Test("Of several who take one at once, one does")
  func raced() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let invitation = try await invite("guest@example.com", by: owner, in: house)
      let reasons = await withTaskGroup(of: String.self) { group in
        for _ in 0..<4 {
          group.addTask {
            do {
              _ = try await accept(invitation.token, in: house)
              return "taken"
            } catch { return (error as? RPCError)?.reason ?? "\(error)" }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(reasons.filter { $0 == "taken" }.count == 1)
      #expect(Set(reasons).subtracting(["taken", "INVITATION_CLOSED"]) == [])
    }
  }

  @Test("A tenant has so many members and open invitations and no more")
  func limits() async throws {
    let policy = IdentityPolicy(isSignUpOpen: true, mostMembers: 2, mostInvitations: 2)
    try await TestHouse.with(policy: policy) { house in
      let owner = try await house.register()
      let first = try await invite("a@example.com", by: owner, in: house)
      let second = try await invite("b@example.com", by: owner, in: house)
      try await expectReason("TOO_MANY_INVITATIONS") {
        try await invite("c@example.com", by: owner, in: house)
      }
      _ = try await accept(first.token, in: house)
      try await expectReason("TOO_MANY_MEMBERS") { try await accept(second.token, in: house) }
    }
  }
}
