import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension AccessService {
  func issueServicePrincipal(_ request: IssueServicePrincipalRequest, _ context: CallContext) async throws
    -> IssueServicePrincipalResponse
  {
    guard secrets.admit(request.secret, of: request.service) else {
      throw AccessError.badServiceSecret.rpcError
    }
    let standing = Standing(
      subject: "service:\(request.service)", roles: ["service"], revocationIDs: [], plan: .unspecified,
      rateLimits: [])
    let (principal, claims) = try sign(standing)
    return IssueServicePrincipalResponse(principal: principal, expiresAt: claims.expiresAt)
  }

  /// A principal that says so, until it has been long enough or the credential ends.
  func sign(_ standing: Standing) throws(RPCError) -> (text: String, claims: PrincipalClaims) {
    let now = now()
    let claims = PrincipalClaims(
      tenantId: standing.tenant?.description ?? "", subject: standing.subject, roles: standing.roles,
      scopes: standing.scopes, issuedAt: Timestamp(now),
      expiresAt: Timestamp(min(now + Self.principalLife, standing.expiresAt ?? now + Self.principalLife)))
    do {
      return (try keys.signer().principals.sign(claims), claims)
    } catch {
      throw AccessError.noSigningKey.rpcError
    }
  }

  /// Short, for a principal cannot be taken back once it has been handed on; long enough to be worth remembering.
  static let principalLife = Duration.minutes(5)
}
