import MainstreetAPI
import NIOCore
import Postgres
import RPC

extension StoreService {
  func importPolls(_ requests: RequestStream<HttpBody>, _ context: CallContext) async throws -> ImportSummary
  {
    let latest = Instant(microseconds: now().microseconds + PollError.toleratedLead)
    return try await importFile(PollFile(latest: latest), requests, context)
  }

  /// What the three imports have in common.
  func importFile(
    _ file: some ImportedFile, _ requests: RequestStream<HttpBody>, _ context: CallContext
  ) async throws -> ImportSummary {
    let tenant = try tenant(of: context)
    let now = now()
    return try await importSlots.withSlot(for: tenant) {
      let watch = UploadWatch(importLimits)
      let run = ImportRun(
        postgres: postgres, tenant: tenant, now: now, file: file, limits: importLimits, watch: watch)
      // Inflating and parsing would keep the connection's loop from everybody else on it.
      return try await withTaskExecutorPreference(globalConcurrentExecutor) {
        ImportSummary(try await watch.run { try await run.run(requests.map(\.data)) })
      }
    }
  }
}

extension ImportSummary {
  init<File>(_ summary: ImportRun<File>.Summary) {
    self.init(
      rows: Int64(summary.tally.rows), accepted: Int64(summary.stored),
      duplicates: Int64(summary.duplicates), rejected: Int64(summary.tally.rejected),
      storesCreated: Int64(summary.storesCreated),
      rejectedLines: summary.tally.rejectedLines.map { line, rejection in
        RejectedLine(line: Int64(line), code: rejection.code, message: rejection.message)
      })
  }
}
