import Jobs
import MainstreetAPI
import Postgres
import RPC
import ServiceKit
import TimeZones

/// The rpcs of `mainstreet.store.v1.StoreService`. Each is an extension in a file of its own name:
///
/// - Stores: CreateStore, GetStore, ListStores, UpdateStore, DeleteStore
/// - Hours: SetBusinessHours, GetBusinessHours
/// - Polls: RecordPoll, RecordPolls
/// - Imports: ImportPolls, ImportBusinessHours, ImportTimezones
/// - Reports: TriggerReport, GetReport, DownloadReport, GetUptimeLastHour
struct StoreService: MainstreetAPI.StoreService {
  let postgres: PostgresClient
  let idempotency: Idempotency
  /// Of the list of stores.
  let cursors: CursorSigner
  let jobs: Jobs
  let zones: TimeZones
  var importSlots = ImportSlots()
  var importLimits = ImportLimits()
  var now: @Sendable () -> PostgresTimestamp = { .now() }

  /// Whose data a call is about. Never taken from the request.
  func tenant(of context: CallContext) throws(RPCError) -> UUID {
    try context.principal.actingTenant()
  }

  /// An id from a request. Validation has seen that it is one.
  func id(_ text: String, field: String) throws(RPCError) -> UUID {
    guard let id = UUID(text) else {
      throw RPCError(
        .invalidArgument, "\(field) is not a UUID", reason: "VALIDATION_FAILED",
        violations: [FieldViolation(field: field, code: "INVALID_UUID", message: "must be a UUID")])
    }
    return id
  }
}
