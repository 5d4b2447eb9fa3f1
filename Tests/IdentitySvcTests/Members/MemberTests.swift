import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Members")
struct MemberTests {
  private func update(
    _ person: TestHouse.Person, to role: Role, by actor: TestHouse.Person, in house: TestHouse
  ) async throws -> Member {
    try await house.identity.updateMember(
      UpdateMemberRequest(accountId: "\(person.account)", role: role),
      options: try await house.acting(as: actor)
    ).message
  }

  private func remove(_ person: TestHouse.Person, by actor: TestHouse.Person, in house: TestHouse)
    async throws
  {
    _ = try await house.identity.removeMember(
      RemoveMemberRequest(accountId: "\(person.account)"), options: try await house.acting(as: actor))
  }

  @Test("Members are listed in the order they joined, a page at a time")
  func listed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      for index in 0..<4 { _ = try await house.invite("guest\(index)@example.com", as: .staff, by: owner) }
      let options = try await house.acting(as: owner)
      var emails: [String] = []
      var cursor: String? = ""
      var pages = 0
      while let next = cursor {
        let page = try await house.identity.listMembers(
          ListMembersRequest(limit: 2, cursor: next), options: options
        ).message
        emails += page.members.map(\.email)
        cursor = page.nextCursor
        pages += 1
      }
      #expect(emails == [owner.email] + (0..<4).map { "guest\($0)@example.com" })
      #expect(pages == 3)
      for cursor in ["x", "m1-", "m1-zz-\(owner.account)", "k1-\(owner.account)"] {
        try await expectReason("INVALID_CURSOR") {
          try await house.identity.listMembers(ListMembersRequest(cursor: cursor), options: options)
        }
      }
    }
  }

  @Test("Nobody gives or takes more than they have")
  func ranks() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let admin = try await house.invite("admin@example.com", as: .admin, by: owner)
      let staff = try await house.invite("staff@example.com", as: .staff, by: admin)
      #expect(try await update(staff, to: .manager, by: admin, in: house).role == .manager)
      #expect(try await update(staff, to: .admin, by: admin, in: house).role == .admin)
      try await expectReason("ROLE_EXCEEDS_OWN") { try await update(staff, to: .owner, by: admin, in: house) }
      try await expectReason("ROLE_EXCEEDS_OWN") { try await update(admin, to: .owner, by: admin, in: house) }
      try await expectReason("ROLE_EXCEEDS_OWN") { try await update(owner, to: .staff, by: admin, in: house) }
      try await expectReason("ROLE_EXCEEDS_OWN") { try await remove(owner, by: admin, in: house) }
      try await expectReason("ROLE_EXCEEDS_OWN") {
        try await house.invite("other@example.com", as: .owner, by: admin)
      }
      #expect(try await update(staff, to: .staff, by: owner, in: house).role == .staff)
      try await expectReason("PERMISSION_DENIED") {
        try await update(admin, to: .viewer, by: staff, in: house)
      }
    }
  }

  @Test("A principal that is minutes behind gives no more than its account has by now")
  func outdated() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let admin = try await house.invite("admin@example.com", as: .admin, by: owner)
      let before = try await house.acting(as: admin)
      _ = try await update(admin, to: .viewer, by: owner, in: house)
      try await expectReason("ROLE_EXCEEDS_OWN") {
        try await house.identity.updateMember(
          UpdateMemberRequest(accountId: "\(admin.account)", role: .admin), options: before)
      }
      try await expectReason("ROLE_EXCEEDS_OWN") {
        try await house.identity.createInvitation(
          CreateInvitationRequest(email: "x@example.com", role: .viewer), options: before)
      }
    }
  }

  @Test("A tenant keeps an owner")
  func lastOwner() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      try await expectReason("LAST_OWNER") { try await update(owner, to: .admin, by: owner, in: house) }
      try await expectReason("LAST_OWNER") { try await remove(owner, by: owner, in: house) }
      let second = try await house.invite("second@example.com", as: .owner, by: owner)
      _ = try await update(owner, to: .admin, by: second, in: house)
      try await expectReason("LAST_OWNER") { try await remove(second, by: second, in: house) }
    }
  }

  @Test("Two owners who take each other's place at once leave one")
  func race() async throws {
    try await TestHouse.with { house in
      let first = try await house.register()
      let second = try await house.invite("second@example.com", as: .owner, by: first)
      for _ in 0..<5 {
        let outcomes = await withTaskGroup(of: Bool.self) { group in
          for (actor, other) in [(first, second), (second, first)] {
            group.addTask { (try? await update(other, to: .admin, by: actor, in: house)) != nil }
          }
          return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.sorted { !$0 && $1 } == [false, true])
        let members = try await house.identity.listMembers(
          .init(), options: try await house.acting(as: first)
        ).message
        let owners = members.members.filter { $0.role == .owner }
        #expect(owners.count == 1)
        // And both are owners again.
        let (kept, lost) = owners.first?.accountId == "\(first.account)" ? (first, second) : (second, first)
        _ = try await update(lost, to: .owner, by: kept, in: house)
      }
    }
  }

  @Test("Who is removed is signed out here and nowhere else")
  func removed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let other = try await house.register("Elsewhere", email: "guest@example.com")
      house.clock.advance(by: .seconds(1))
      let guest = try await house.invite("guest@example.com", as: .staff, by: owner)
      try await remove(guest, by: owner, in: house)
      try await expectReason("SESSION_ENDED") { try await house.exchange(.accessToken(guest.token)) }
      try await expectReason("SESSION_ENDED") {
        try await house.identity.refreshSession(
          RefreshSessionRequest(refreshToken: guest.refreshToken), options: try await house.edge())
      }
      _ = try await house.exchange(.accessToken(other.token))
      #expect(try await house.revoked() == ["member:\(owner.tenant)/\(guest.account)"])
      try await expectReason("MEMBER_NOT_FOUND") { try await remove(guest, by: owner, in: house) }
      let log = try await house.audit(of: owner.tenant)
      #expect(log.first == "member.removed")
    }
  }

  @Test(
    "Who may make whom what",
    arguments: [
      ("owner", "owner", "admin", 2, nil), ("owner", "owner", "admin", 1, .lastOwner),
      ("owner", "owner", "owner", 1, nil), ("owner", "owner", nil, 1, .lastOwner),
      ("owner", nil, "owner", 1, nil), ("admin", nil, "owner", 1, .exceedsOwnRole),
      ("admin", "owner", "viewer", 2, .exceedsOwnRole), ("admin", "admin", "viewer", 1, nil),
      ("admin", "customer", nil, 1, nil), ("manager", nil, "viewer", 1, .exceedsOwnRole),
      (nil, "owner", "admin", 2, nil), (nil, "owner", nil, 1, .lastOwner),
      ("nonsense", nil, "viewer", 1, .exceedsOwnRole),
    ] as [(String?, String?, String?, Int, MemberError?)])
  func rules(_ actor: String?, _ former: String?, _ next: String?, _ owners: Int, _ expected: MemberError?) {
    var found: MemberError?
    do throws(MemberError) {
      try MemberRules.change(actor: actor, from: former, to: next, owners: owners)
    } catch { found = error }
    #expect(found == expected)
  }
}
