import MainstreetAPI
import RPC

extension StoreService {
  func importTimezones(
    _ requests: RequestStream<HttpBody>, _ context: CallContext
  ) async throws -> ImportSummary {
    try await importFile(TimezoneFile(zones: zones), requests, context)
  }
}
