import MainstreetAPI
import Postgres
import RPC

extension IdentityService {
  /// A token that leads nowhere has nothing to end: that is what was asked for.
  func logout(_ request: LogoutRequest, _ context: CallContext) async throws -> Empty {
    let caller = Caller(context)
    let now = now()
    try await postgres.transaction(tenant: nil, deadline: context.deadline) { transaction in
      let lock = LockSession(hash: TokenHash(of: request.refreshToken))
      guard let session = try await transaction.executeOne(lock) else { return }
      try await transaction.executeCount(ActFor(tenant: session.tenant ?? .noTenant))
      try await transaction.end(session, because: .signedOut, action: .sessionEnded, by: caller, now: now)
    }
    return Empty()
  }
}
