import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  /// One that is not open any more has nothing to withdraw; one that never was is an error.
  func revokeInvitation(_ request: RevokeInvitationRequest, _ context: CallContext) async throws -> Empty {
    let tenant = try context.principal.actingTenant()
    let id = try id(request.invitationId, field: "invitation_id")
    let caller = Caller(context)
    let now = now()
    do {
      try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
        try await transaction.lock(tenant)
        let actor = try await transaction.currentRole(of: caller, in: tenant)
        guard let role = try await transaction.executeOne(FindInvitationRole(tenant: tenant, id: id)) else {
          throw InvitationError.notFound
        }
        try MemberRules.change(actor: actor, from: role, to: nil, owners: 2)
        let closed = try await transaction.executeCount(CloseInvitation(tenant: tenant, id: id, now: now))
        guard closed > 0 else { return }
        try await transaction.audit(
          .invitationRevoked, in: tenant, by: caller, target: "invitation:\(id)", now: now)
      }
      return Empty()
    } catch let error as InvitationError {
      throw error.rpcError
    } catch let error as MemberError {
      throw error.rpcError
    }
  }
}

struct FindInvitationRole: Statement {
  static let name = "FindInvitationRole"
  static let sql = "SELECT role FROM identity.invitations WHERE tenant_id = $1 AND invitation_id = $2"
  static let isIdempotent = true
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }

  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

struct CloseInvitation: Statement {
  static let name = "CloseInvitation"
  static let sql = """
    UPDATE identity.invitations SET revoked_at = $3
    WHERE tenant_id = $1 AND invitation_id = $2 AND accepted_at IS NULL AND revoked_at IS NULL
    """
  var tenant: UUID
  var id: UUID
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(now)
  }
}
