import MainstreetAPI
import RPC

extension IdentityService {
  func removeMember(_ request: RemoveMemberRequest, _ context: CallContext) async throws -> Empty {
    _ = try await changeMember(try id(request.accountId, field: "account_id"), to: nil, context)
    return Empty()
  }
}
