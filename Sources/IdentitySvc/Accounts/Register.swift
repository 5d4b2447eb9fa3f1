import MainstreetAPI
import Postgres
import RPC

extension IdentityService {
  func register(_ request: RegisterRequest, _ context: CallContext) async throws -> RegisterResponse {
    let caller = Caller(context)
    try requireSignUp(caller)
    let hash = try await passwords.hash(request.password)
    let now = now()
    let account = Account(
      id: .v7(now: now), email: request.email, name: request.name, passwordHash: hash)
    let new = NewTenant(id: .v7(now: now), name: request.name)
    let session = NewSession(account: account.id, tenant: new.id, now: now)
    let (actor, roles) = ("account:\(account.id)", [Role.owner.stored])
    do {
      let tenant = try await postgres.transaction(tenant: new.id, deadline: context.deadline) { transaction in
        guard try await transaction.executeOne(AddAccount(account: account, now: now)) == true else {
          throw AccountError.emailTaken
        }
        let tenant = try await transaction.open(new, by: caller, actor: actor, now: now)
        try await transaction.audit(
          .accountCreated, in: new.id, by: caller, actor: actor, target: actor,
          details: ["email": account.email],
          now: now)
        try await transaction.addMember(
          account.id, role: .owner, to: new.id, by: caller, actor: actor, now: now)
        try await transaction.open(session, roles: roles, by: caller)
        return tenant
      }
      return RegisterResponse(
        studio: tenant, token: try await accessToken(session, roles: roles), refreshToken: session.token.text,
        expiresIn: AccessTokens.lifeSeconds)
    } catch let error as AccountError {
      throw error.rpcError
    } catch let error as TenantError {
      throw error.rpcError
    }
  }
}
