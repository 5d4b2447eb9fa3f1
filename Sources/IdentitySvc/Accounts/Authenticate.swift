import MainstreetAPI
import RPC

extension IdentityService {
  func authenticate(_ request: AuthenticateRequest, _ context: CallContext) async throws
    -> AuthenticateResponse
  {
    let session = try await signIn(
      email: EmailAddress(request.email), password: request.password, slug: nil, caller: Caller(context),
      deadline: context.deadline)
    return AuthenticateResponse(
      success: true, email: session.account.email, shopId: session.tenant?.id ?? "",
      shopDomain: session.tenant?.shopDomain ?? "", token: session.token, refreshToken: session.refreshToken)
  }
}
