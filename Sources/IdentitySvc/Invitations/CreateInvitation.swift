import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  /// Takes the place of one that is open for the same address: who lost the first gets another.
  func createInvitation(_ request: CreateInvitationRequest, _ context: CallContext) async throws
    -> CreateInvitationResponse
  {
    let tenant = try context.principal.actingTenant()
    let caller = Caller(context)
    let now = now()
    let new = InsertInvitation(
      tenant: tenant, now: now, id: .v7(now: now), email: EmailAddress(request.email), role: request.role,
      token: .random(.invitation))
    do {
      let invitation = try await postgres.transaction(tenant: tenant, deadline: context.deadline) {
        transaction in
        try await transaction.lock(tenant)
        let actor = try await transaction.currentRole(of: caller, in: tenant)
        try MemberRules.change(actor: actor, from: nil, to: request.role.stored, owners: 1)
        try await requireRoom(for: new, in: transaction)
        try await transaction.executeCount(CloseInvitationsOf(tenant: tenant, now: now, email: new.email))
        let invitation = try await transaction.executeOne(new)
        try await transaction.audit(
          .invitationCreated, in: tenant, by: caller, target: "invitation:\(new.id)",
          details: ["email": request.email, "role": request.role.stored], now: now)
        return invitation
      }
      return CreateInvitationResponse(invitation: invitation, token: new.token.text)
    } catch let error as MemberError {
      throw error.rpcError
    } catch let error as InvitationError {
      throw error.rpcError
    }
  }

  private func requireRoom(for new: InsertInvitation, in transaction: Transaction) async throws {
    let open = try await transaction.executeOne(CountInvitations(tenant: new.tenant, now: new.now)) ?? 0
    guard open < policy.mostInvitations else { throw InvitationError.tooMany(policy.mostInvitations) }
    let account = try await transaction.executeOne(FindAccountSigningIn(email: new.email))
    guard let id = account?.account.id else { return }
    if try await transaction.executeOne(FindRole(tenant: new.tenant, account: id)) != nil {
      throw MemberError.alreadyMember
    }
  }
}

struct InsertInvitation: Statement {
  static let name = "InsertInvitation"
  static let sql = """
    INSERT INTO identity.invitations AS i
      (tenant_id, created_at, invitation_id, email, email_key, role, token_hash, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    RETURNING \(InvitationRow.columns)
    """
  static let life = Duration.days(7)
  var tenant: UUID
  var now: Instant
  var id: UUID
  var email: EmailAddress
  var role: Role
  var token: OpaqueToken

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(now)
    bindings.append(id)
    bindings.append(email.text)
    bindings.append(email.key)
    bindings.append(role.stored)
    bindings.append(token.hash)
    bindings.append(now + Self.life)
  }

  static func decode(_ row: inout RowReader) throws -> Invitation { try InvitationRow.decode(&row) }
}

struct CloseInvitationsOf: Statement {
  static let name = "CloseInvitationsOf"
  static let sql = """
    UPDATE identity.invitations SET revoked_at = $2
    WHERE tenant_id = $1 AND email_key = $3 AND accepted_at IS NULL AND revoked_at IS NULL
    """
  var tenant: UUID
  var now: Instant
  var email: EmailAddress

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(now)
    bindings.append(email.key)
  }
}

struct CountInvitations: Statement {
  static let name = "CountInvitations"
  static let sql =
    "SELECT count(*) FROM identity.invitations i WHERE i.tenant_id = $1 AND \(InvitationRow.isOpen)"
  static let isIdempotent = true
  var tenant: UUID
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> Int { try row.next() }
}
