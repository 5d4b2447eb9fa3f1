import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func acceptInvitation(_ request: AcceptInvitationRequest, _ context: CallContext) async throws
    -> LoginResponse
  {
    let caller = Caller(context)
    do {
      let find = FindInvitation(hash: TokenHash(of: request.token))
      guard let invitation = try await postgres.executeOne(find, tenant: nil, deadline: context.deadline)
      else {
        throw InvitationError.unknownToken
      }
      // Before the password is looked at: what is closed is no place to try passwords.
      if invitation.isClosed { throw InvitationError.closed }
      if invitation.expiresAt <= now() { throw InvitationError.expired }
      let guest = try await guest(of: invitation, request, caller: caller, context)
      return LoginResponse(try await accept(invitation, as: guest, caller: caller, context))
    } catch let error as InvitationError {
      throw error.rpcError
    } catch let error as AccountError {
      throw error.rpcError
    } catch let error as MemberError {
      throw error.rpcError
    }
  }

  /// The account the invitation is for: with the right password, or one that is to be made.
  private func guest(
    of invitation: FindInvitation.Row, _ request: AcceptInvitationRequest, caller: Caller,
    _ context: CallContext
  ) async throws -> Guest {
    let email = EmailAddress(invitation.email)
    let find = FindAccountSigningIn(email: email)
    let known = try await postgres.executeOne(find, tenant: nil, deadline: context.deadline)
    let attempt = SignInAttempt(email: email, address: caller.address)
    guard known == nil else {
      let proven = try await prove(
        attempt, password: request.password, slug: nil, caller: caller, deadline: context.deadline)
      return Guest(account: proven.account, isNew: false, attempt: attempt)
    }
    guard let name = request.name else { throw AccountError.nameNeeded }
    let hash = try await passwords.hash(request.password)
    let account = Account(id: .v7(now: now()), email: invitation.email, name: name, passwordHash: hash)
    return Guest(account: account, isNew: true, attempt: attempt)
  }

  private func accept(
    _ invitation: FindInvitation.Row, as guest: Guest, caller: Caller, _ context: CallContext
  ) async throws -> OpenedSession {
    let now = now()
    let (tenant, account) = (invitation.tenant, guest.account)
    let actor = "account:\(account.id)"
    let session = NewSession(account: account.id, tenant: tenant, now: now)
    let roles = [account.isPlatformAdmin ? PlatformAdmin.role : invitation.role.stored]
    let row = try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
      try await transaction.lock(tenant)
      // Of two who take it at once, one does.
      let taken = try await transaction.executeCount(
        TakeInvitation(tenant: tenant, now: now, id: invitation.id))
      guard taken > 0 else { throw InvitationError.closed }
      try await add(guest, to: tenant, role: invitation.role, caller: caller, now: now, in: transaction)
      try await transaction.audit(
        .invitationAccepted, in: tenant, by: caller, actor: actor, target: "invitation:\(invitation.id)",
        now: now)
      try await transaction.open(session, roles: roles, by: caller)
      if !guest.isNew { try await guest.attempt.succeed(in: transaction, now: now) }
      return try await transaction.executeOne(FindTenant(tenant: tenant))
    }
    let member = Member(
      accountId: "\(account.id)", email: account.email, name: account.name, role: invitation.role,
      joinedAt: Timestamp(now))
    return OpenedSession(
      account: account, tenant: row, member: member, token: try await accessToken(session, roles: roles),
      refreshToken: session.token.text)
  }

  private func add(
    _ guest: Guest, to tenant: UUID, role: Role, caller: Caller, now: Instant, in transaction: Transaction
  ) async throws {
    let (account, actor) = (guest.account, "account:\(guest.account.id)")
    let count = try await transaction.executeOne(CountMembers(tenant: tenant))?.members ?? 0
    guard count < policy.mostMembers else { throw MemberError.tooMany(policy.mostMembers) }
    if guest.isNew {
      // Somebody signed up with the address meanwhile.
      guard try await transaction.executeOne(AddAccount(account: account, now: now)) == true else {
        throw AccountError.emailTaken
      }
      try await transaction.audit(
        .accountCreated, in: tenant, by: caller, actor: actor, target: actor,
        details: ["email": account.email],
        now: now)
    } else if try await transaction.executeOne(FindRole(tenant: tenant, account: account.id)) != nil {
      throw MemberError.alreadyMember
    }
    try await transaction.addMember(account.id, role: role, to: tenant, by: caller, actor: actor, now: now)
  }
}

/// Whoever takes an invitation.
private struct Guest: Sendable {
  var account: Account
  var isNew: Bool
  var attempt: SignInAttempt
}

struct FindInvitation: Statement {
  static let name = "FindInvitation"
  static let sql = """
    SELECT tenant_id, invitation_id, email, role, expires_at, accepted_at IS NOT NULL OR revoked_at IS NOT NULL
    FROM identity.invitation_of_token($1)
    """
  static let isIdempotent = true
  var hash: TokenHash

  struct Row: Sendable {
    var tenant: UUID
    var id: UUID
    var email: String
    var role: Role
    var expiresAt: Instant
    var isClosed: Bool
  }

  func bind(into bindings: inout Bindings) { bindings.append(hash) }

  static func decode(_ row: inout RowReader) throws -> Row {
    Row(
      tenant: try row.next(), id: try row.next(), email: try row.next(), role: Role(stored: try row.next()),
      expiresAt: try row.next(), isClosed: try row.next())
  }
}

struct TakeInvitation: Statement {
  static let name = "TakeInvitation"
  static let sql = """
    UPDATE identity.invitations AS i SET accepted_at = $2
    WHERE i.tenant_id = $1 AND i.invitation_id = $3 AND \(InvitationRow.isOpen)
    """
  var tenant: UUID
  var now: Instant
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(now)
    bindings.append(id)
  }
}
