import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func updateMember(_ request: UpdateMemberRequest, _ context: CallContext) async throws -> Member {
    try await changeMember(try id(request.accountId, field: "account_id"), to: request.role, context)
  }

  /// Gives a member another role, or none.
  func changeMember(_ account: UUID, to role: Role?, _ context: CallContext) async throws -> Member {
    let tenant = try context.principal.actingTenant()
    let caller = Caller(context)
    let now = now()
    do {
      return try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
        // Two owners who take each other's place are one after the other.
        try await transaction.lock(tenant)
        let actor = try await transaction.currentRole(of: caller, in: tenant)
        guard var member = try await transaction.executeOne(ListMembersPage(only: account))?.member else {
          throw MemberError.notFound
        }
        let owners = try await transaction.executeOne(CountMembers(tenant: tenant))?.owners ?? 0
        try MemberRules.change(
          actor: actor, from: member.role.stored, to: role?.stored, owners: owners)
        if let role {
          try await transaction.set(role, of: account, from: member.role, in: tenant, by: caller, now: now)
          member.role = role
        } else {
          try await transaction.remove(account, from: tenant, role: member.role, by: caller, now: now)
        }
        return member
      }
    } catch let error as MemberError {
      throw error.rpcError
    }
  }
}

extension Transaction {
  fileprivate func set(
    _ role: Role, of account: UUID, from former: Role, in tenant: UUID, by caller: Caller, now: Instant
  ) async throws {
    guard role != former else { return }
    try await executeCount(SetRole(tenant: tenant, account: account, role: role))
    try await audit(
      .memberUpdated, in: tenant, by: caller, target: "account:\(account)",
      details: ["from": former.stored, "to": role.stored], now: now)
    try await revoke([RevocationID.member(account, of: tenant)], now: now)
  }

  fileprivate func remove(
    _ account: UUID, from tenant: UUID, role: Role, by caller: Caller, now: Instant
  ) async throws {
    try await executeCount(DeleteMember(tenant: tenant, account: account))
    try await audit(
      .memberRemoved, in: tenant, by: caller, target: "account:\(account)", details: ["role": role.stored],
      now: now)
    try await executeCount(EndSessions(account: account, tenant: tenant, reason: .memberRemoved, now: now))
    try await revoke([RevocationID.member(account, of: tenant)], now: now)
  }
}

struct SetRole: Statement {
  static let name = "SetRole"
  static let sql = "UPDATE identity.memberships SET role = $3 WHERE tenant_id = $1 AND account_id = $2"
  var tenant: UUID
  var account: UUID
  var role: Role

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(account)
    bindings.append(role.stored)
  }
}

struct DeleteMember: Statement {
  static let name = "DeleteMember"
  static let sql = "DELETE FROM identity.memberships WHERE tenant_id = $1 AND account_id = $2"
  var tenant: UUID
  var account: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(account)
  }
}
