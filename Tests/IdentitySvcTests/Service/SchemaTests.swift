import Foundation
import MainstreetAPI
import NIOCore
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Schema")
struct SchemaTests {
  /// What Tests/Architecture/tenants.sql complains about.
  private struct FindTenantsLeaks: Statement {
    static let name = "FindTenantsLeaks"
    static let sql =
      (try? String(contentsOf: root.appending(path: "Tests/Architecture/tenants.sql"), encoding: .utf8)) ?? ""
    private static let root = URL(filePath: #filePath).appending(path: "../../../..").standardized
    static func decode(_ row: inout RowReader) throws -> String { try row.next() }
  }

  private struct CountRows: Statement {
    static let name = "CountRows"
    static let sql = """
      SELECT (SELECT count(*) FROM identity.tenants) + (SELECT count(*) FROM identity.memberships)
        + (SELECT count(*) FROM identity.invitations) + (SELECT count(*) FROM identity.api_keys)
        + (SELECT count(*) FROM identity.audit_events)
      """
    static func decode(_ row: inout RowReader) throws -> Int { try row.next() }
  }

  @Test("Every table that the service may use forces row-level security, and what crosses tenants is listed")
  func guarded() async throws {
    try await TestHouse.with { house in
      try await Housekeeping(postgres: house.postgres, logger: .quiet).look()
      #expect(try await house.superuser.execute(FindTenantsLeaks(), tenant: nil) == [])
    }
  }

  @Test("Without a tenant the service sees nothing, with one its own, and what has no tenant not at all")
  func rows() async throws {
    try await TestHouse.with { house in
      let first = try await house.register()
      let second = try await house.register("Second", email: "second@example.com")
      #expect(try await house.postgres.executeOne(CountRows(), tenant: nil) == 0)
      let own = try await house.postgres.executeOne(CountRows(), tenant: first.tenant)
      #expect(own == 6)
      #expect(try await house.postgres.executeOne(CountRows(), tenant: second.tenant) == own)
      for table in [
        "accounts", "sessions", "refresh_tokens", "signing_keys", "slugs", "revocations", "budgets",
      ] {
        await #expect(throws: PostgresError.self, "\(table)") {
          try await house.postgres.run(sql: "SELECT FROM identity.\(table)")
        }
      }
    }
  }

  @Test(
    "The log can be added to and read, and not changed",
    arguments: [
      "UPDATE identity.audit_events SET actor = 'x'", "DELETE FROM identity.audit_events",
      "TRUNCATE identity.audit_events",
    ])
  func appendOnly(_ sql: String) async throws {
    try await TestHouse.with { house in
      do {
        try await house.postgres.run(sql: sql)
        Issue.record("the log was changed")
      } catch let error as PostgresError {
        #expect(error.sqlState == .insufficientPrivilege)
      }
    }
  }

  @Test("The log has a partition for each month there is and the two to come, and room for others")
  func partitions() async throws {
    try await TestHouse.with { house in
      for _ in 0..<2 { try await Housekeeping(postgres: house.postgres, logger: .quiet).look() }
      _ = try await house.register()
      house.clock.advance(by: .days(400))
      _ = try await house.register("Later", email: "later@example.com")
    }
  }

  @Test("What nobody asks for any more is forgotten, and what somebody may ask for is not")
  func forgotten() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      try await house.postgres.transaction(tenant: nil) {
        try await $0.revoke(["key:x"], now: house.clock.now)
      }
      _ = try await house.identity.logout(
        LogoutRequest(refreshToken: owner.refreshToken), options: try await house.edge())
      house.clock.advance(by: .hours(23))
      let kept = try await house.login()
      func forget() async throws {
        try await Housekeeping(postgres: house.postgres, logger: .quiet, now: { house.clock.now }).look()
      }
      try await forget()
      #expect(try await house.revoked().count == 2)
      house.clock.advance(by: .hours(2))
      try await forget()
      #expect(try await house.revoked() == [])
      house.clock.advance(by: .days(29))
      try await forget()
      _ = try await house.identity.refreshSession(
        RefreshSessionRequest(refreshToken: kept.refreshToken), options: try await house.edge())
      house.clock.advance(by: .days(32))
      try await forget()
      #expect(
        try await house.postgres.executeOne(LockSession(hash: TokenHash(of: kept.refreshToken)), tenant: nil)
          == nil)
    }
  }

  /// All of them: Tests/Architecture/check.py looks.
  static let statements: [any Statement.Type] = [
    ActFor.self, AddAccount.self, AddPlatformAdmin.self, AddSigningKey.self, ChangeTenant.self,
    ClaimSlug.self, CloseInvitation.self, CloseInvitationsOf.self, CountApiKeys.self, CountInvitations.self,
    CountMembers.self, DeleteMember.self, EndSessions.self, EnsureAuditPartition.self, FindAccount.self,
    FindAccountSigningIn.self, FindApiKey.self, FindInvitation.self, FindInvitationRole.self,
    FindRevocationBounds.self, FindRole.self, FindSessionStanding.self, FindTenant.self,
    FindTenantOfSlug.self, Forget.self, InsertApiKey.self, InsertAuditEvent.self, InsertInvitation.self,
    InsertMember.self, InsertRevocations.self, InsertTenant.self, ListApiKeysPage.self,
    ListAuditEventsPage.self, ListInvitationsPage.self, ListLine.self, ListMembersPage.self,
    ListRevocations.self, ListSigningKeys.self, LockApiKey.self, LockSession.self, LockSignInStates.self,
    LockSigningKeys.self, LockTenant.self, OpenSession.self, ReplaceApiKey.self, RotateToken.self,
    SaveSignInState.self, SetApiKeyRevoked.self, SetPassword.self, SetRole.self, TakeBudgets.self,
    TakeInvitation.self, TouchApiKey.self, WithdrawSigningKeys.self,
  ]

  @Test("Every statement can be prepared against the migrated schema")
  func prepared() async throws {
    try await TestHouse.with { house in
      try await house.postgres.transaction(tenant: .noTenant) { transaction in
        for statement in Self.statements {
          try await transaction.execute(
            sql: "PREPARE \(statement.name) AS \(statement.sql)", name: statement.name)
        }
      }
    }
  }
}
