import MainstreetAPI
import RPC

extension StoreService {
  func getBusinessHours(
    _ request: GetBusinessHoursRequest, _ context: CallContext
  ) async throws -> GetBusinessHoursResponse {
    let store = try await getStore(GetStoreRequest(storeId: request.storeId), context)
    return GetBusinessHoursResponse(hours: store.businessHours)
  }
}
