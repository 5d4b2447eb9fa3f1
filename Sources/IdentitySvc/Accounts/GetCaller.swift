import MainstreetAPI
import RPC
import ServiceKit

extension IdentityService {
  func getCaller(_ request: GetCallerRequest, _ context: CallContext) async throws -> GetCallerResponse {
    let principal = try context.principal
    return GetCallerResponse(
      subject: principal.subject, tenantId: principal.tenant, roles: principal.roles, scopes: principal.scopes
    )
  }
}
