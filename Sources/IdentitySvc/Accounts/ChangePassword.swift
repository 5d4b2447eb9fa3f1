import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func changePassword(_ request: ChangePasswordRequest, _ context: CallContext) async throws -> Empty {
    let caller = Caller(context)
    do {
      guard let id = caller.account,
        let account = try await postgres.executeOne(
          FindAccount(account: id), tenant: nil, deadline: context.deadline)
      else { throw AccountError.notPerson }
      let hash = try await newHash(request, of: account, caller: caller)
      try await save(hash, of: account, keeping: request.refreshToken, caller: caller, context)
      return Empty()
    } catch let error as AccountError {
      throw error.rpcError
    }
  }

  /// Counts as an attempt to sign in: a session that was stolen must not be a way to guess the password.
  private func newHash(_ request: ChangePasswordRequest, of account: Account, caller: Caller) async throws
    -> String
  {
    let attempt = SignInAttempt(email: EmailAddress(account.email), address: caller.address)
    _ = try await attempt.begin(on: postgres, now: now())
    do {
      guard try await passwords.verify(request.currentPassword, against: account.passwordHash) != .wrong
      else {
        throw AccountError.wrongPassword
      }
      return try await passwords.hash(request.newPassword)
    } catch AccountError.wrongPassword {
      throw AccountError.wrongPassword
    } catch {
      try? await attempt.takeBack(on: postgres, now: now())
      throw error
    }
  }

  private func save(
    _ hash: String, of account: Account, keeping token: String?, caller: Caller, _ context: CallContext
  ) async throws {
    let tenant = try context.principal.tenantID ?? .noTenant
    let now = now()
    let attempt = SignInAttempt(email: EmailAddress(account.email), address: caller.address)
    try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
      let change = SetPassword(account: account.id, old: account.passwordHash, new: hash)
      guard try await transaction.executeOne(change) == true else { throw AccountError.changedMeanwhile }
      var kept: UUID?
      if let token {
        let session = try await transaction.executeOne(LockSession(hash: TokenHash(of: token)))
        kept = session?.account == account.id ? session?.id : nil
      }
      try await attempt.succeed(in: transaction, now: now)
      try await transaction.audit(
        .passwordChanged, in: tenant, by: caller, target: "account:\(account.id)", now: now)
      let ended = try await transaction.execute(
        EndSessions(account: account.id, keeping: kept, reason: .passwordChanged, now: now))
      try await transaction.revoke(ended.map { RevocationID.session($0) }, now: now)
    }
  }
}
