import MainstreetAPI
import RPC

extension StoreService {
  func importBusinessHours(
    _ requests: RequestStream<HttpBody>, _ context: CallContext
  ) async throws -> ImportSummary {
    try await importFile(HoursFile(), requests, context)
  }
}
