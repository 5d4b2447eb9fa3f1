import MainstreetAPI
import RPC

extension IdentityService {
  func login(_ request: LoginRequest, _ context: CallContext) async throws -> LoginResponse {
    LoginResponse(
      try await signIn(
        email: EmailAddress(request.email), password: request.password, slug: request.tenant,
        caller: Caller(context), deadline: context.deadline))
  }
}

extension LoginResponse {
  init(_ session: OpenedSession) {
    self.init(
      studio: session.tenant, token: session.token, refreshToken: session.refreshToken,
      expiresIn: AccessTokens.lifeSeconds, member: session.member)
  }
}
