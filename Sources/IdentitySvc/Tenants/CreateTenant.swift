import MainstreetAPI
import Postgres
import RPC
import TimeZones

extension IdentityService {
  func createTenant(_ request: CreateTenantRequest, _ context: CallContext) async throws
    -> CreateTenantResponse
  {
    let caller = Caller(context)
    try requireSignUp(caller)
    let now = now()
    let new = NewTenant(
      id: .v7(now: now), name: request.name, slug: request.slug,
      timezone: try timezone(request.timezone ?? "UTC"), currency: request.currency ?? "USD")
    let key = NewApiKey(tenant: new.id, name: "First key", environment: policy.keyEnvironment, now: now)
    do {
      let tenant = try await postgres.transaction(tenant: new.id, deadline: context.deadline) { transaction in
        let tenant = try await transaction.open(new, by: caller, now: now)
        _ = try await transaction.add(key, by: caller)
        return tenant
      }
      return CreateTenantResponse(id: tenant.id, apiKey: key.text.text, tenant: tenant)
    } catch let error as TenantError {
      throw error.rpcError
    }
  }

  /// - Throws: SIGN_UP_CLOSED unless everyone may open tenants here, or the caller is a platform admin.
  func requireSignUp(_ caller: Caller) throws(RPCError) {
    guard policy.isSignUpOpen || caller.isPlatformAdmin else { throw TenantError.signUpClosed.rpcError }
  }

  /// The name of a zone this machine knows.
  func timezone(_ name: String) throws(RPCError) -> String {
    guard zones.contains(name) else { throw TenantError.unknownTimezone(name).rpcError }
    return name
  }
}
