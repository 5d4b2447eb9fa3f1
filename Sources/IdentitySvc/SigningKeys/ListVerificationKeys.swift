import MainstreetAPI
import RPC

extension AccessService {
  func listVerificationKeys(_ request: ListVerificationKeysRequest, _ context: CallContext) async throws
    -> ListVerificationKeysResponse
  {
    ListVerificationKeysResponse(keys: keys.published)
  }
}
