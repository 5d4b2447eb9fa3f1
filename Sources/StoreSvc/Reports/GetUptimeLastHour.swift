import MainstreetAPI
import Postgres
import RPC
import TimeZones

extension StoreService {
  /// The last hour before the tenant's newest poll, as the report without an asOf has it.
  func getUptimeLastHour(
    _ request: GetUptimeLastHourRequest, _ context: CallContext
  ) async throws -> GetUptimeLastHourResponse {
    let tenant = try tenant(of: context)
    let id = try id(request.storeId, field: "store_id")
    let newest = try await postgres.executeOne(
      FindNewestPoll(tenant: tenant), tenant: tenant, deadline: context.deadline)
    let windows = ReportWindows(asOf: Instant((newest ?? nil) ?? now()))
    let (stores, polls) = try await postgres.executeBatch(
      LoadReportStores(tenant: tenant, weekStart: windows.hourStart.timestamp, storeIDs: [id]),
      LoadPolls(tenant: tenant, store: id, after: windows.hourStart.timestamp, to: windows.asOf.timestamp),
      tenant: tenant, deadline: context.deadline)
    guard polls.count < LoadPolls.most else { throw ReportError.tooManyChanges.rpcError }
    guard let store = stores.first else { throw StoreError.notFound(request.storeId).rpcError }
    var openHours = OpenHours(windows: windows) { [zones] in try zones.rules($0) }
    var tally = StepTally(
      open: try openHours.ranges(zone: store.zone, schedule: store.schedule), windows: windows)
    if let carriedIn = store.carriedIn { tally.poll(at: windows.hourStart, isActive: carriedIn) }
    for poll in polls { tally.poll(at: Instant(poll.at), isActive: poll.isActive) }
    let uptime = tally.finish()
    return GetUptimeLastHourResponse(
      uptimeMinutes: Self.minutes(uptime.up.hour), downtimeMinutes: Self.minutes(uptime.down.hour))
  }

  /// To two decimals, as in the report.
  private static func minutes(_ microseconds: Int64) -> Double {
    Double((microseconds + 300_000) / 600_000) / 100
  }
}

struct FindNewestPoll: Statement {
  static let name = "FindNewestPoll"
  static let sql = """
    SELECT max(newest.at) FROM store.stores s CROSS JOIN LATERAL (
      SELECT p.at FROM store.polls p WHERE p.tenant_id = s.tenant_id AND p.store_id = s.store_id
      ORDER BY p.at DESC LIMIT 1) AS newest
    WHERE s.tenant_id = $1
    """
  static let isIdempotent = true
  var tenant: UUID

  func bind(into bindings: inout Bindings) { bindings.append(tenant) }

  static func decode(_ row: inout RowReader) throws -> PostgresTimestamp? { try row.next() }
}

/// The polls that changed the state, and the first: what a store was seen to be in between follows from them.
struct LoadPolls: Statement {
  static let name = "LoadPolls"
  static let most = 10_000
  static let sql = """
    SELECT at, is_active FROM (
      SELECT at, is_active, lag(is_active) OVER (ORDER BY at) AS was_active FROM store.polls
      WHERE tenant_id = $1 AND store_id = $2 AND at > $3 AND at <= $4
    ) AS polls
    WHERE is_active IS DISTINCT FROM was_active
    ORDER BY at LIMIT \(most)
    """
  static let isIdempotent = true
  var tenant: UUID
  var store: UUID
  var after: PostgresTimestamp
  var to: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(store)
    bindings.append(after)
    bindings.append(to)
  }

  static func decode(_ row: inout RowReader) throws -> (at: PostgresTimestamp, isActive: Bool) {
    (try row.next(), try row.next())
  }
}
