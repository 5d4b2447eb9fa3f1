import MainstreetAPI
import RPC

extension IdentityService {
  func getKeySet(_ request: GetKeySetRequest, _ context: CallContext) async throws -> GetKeySetResponse {
    // Who verifies with it asks again for a key it does not know; a successor is shown a day before it signs.
    context.setInitialMetadata("http-cache-control", "public, max-age=300")
    return GetKeySetResponse(keys: keys.published)
  }
}
