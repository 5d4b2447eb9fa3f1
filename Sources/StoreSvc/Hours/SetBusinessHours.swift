import MainstreetAPI
import Postgres
import RPC
import TimeZones

extension StoreService {
  func setBusinessHours(
    _ request: SetBusinessHoursRequest, _ context: CallContext
  ) async throws -> SetBusinessHoursResponse {
    let tenant = try tenant(of: context)
    let id = try id(request.storeId, field: "store_id")
    let hours = try Set(request.hours.enumerated().map { try StoredHours($1, index: $0) }).sorted()
    do {
      let (touched, _, _) = try await postgres.executeBatch(
        TouchStore(tenant: tenant, id: id, now: now()), DeleteHours(tenant: tenant, id: id),
        InsertHours(tenant: tenant, id: id, hours: hours), tenant: tenant, deadline: context.deadline)
      guard !touched.isEmpty else { throw StoreError.notFound(request.storeId).rpcError }
    } catch let error as PostgresError where error.constraint == "business_hours_store_fkey" {
      throw StoreError.notFound(request.storeId).rpcError
    }
    return SetBusinessHoursResponse(hours: hours.map { BusinessHours($0) })
  }
}

extension StoredHours {
  /// - Parameter index: the place in the request, for the error.
  init(_ hours: BusinessHours, index: Int) throws(RPCError) {
    func refuse(_ field: String, _ message: String) -> RPCError {
      RPCError(
        .invalidArgument, "hours[\(index)].\(field): \(message)", reason: "VALIDATION_FAILED",
        violations: [
          FieldViolation(field: "hours[\(index)].\(field)", code: "INVALID_TIME", message: message)
        ])
    }
    guard let day = hours.dayOfWeek, (0...6).contains(day) else {
      throw refuse("day_of_week", "must be 0 (Monday) to 6 (Sunday)")
    }
    guard let start = Self.second(hours.startTime), start < CivilDate.secondsPerDay else {
      throw refuse("start_time", "must be HH:MM or HH:MM:SS, before 24:00")
    }
    guard let end = Self.second(hours.endTime) else {
      throw refuse("end_time", "must be HH:MM or HH:MM:SS, at most 24:00")
    }
    self.init(dayOfWeek: Int(day), startSecond: start, endSecond: end)
  }
}

extension BusinessHours {
  init(_ hours: StoredHours) {
    self.init(
      dayOfWeek: Int32(hours.dayOfWeek), startTime: StoredHours.text(second: hours.startSecond),
      endTime: StoredHours.text(second: hours.endSecond))
  }
}

struct TouchStore: Statement {
  static let name = "TouchStore"
  static let sql = """
    UPDATE store.stores SET updated_at = $3 WHERE tenant_id = $1 AND store_id = $2 RETURNING store_id
    """
  var tenant: UUID
  var id: UUID
  var now: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}

struct DeleteHours: Statement {
  static let name = "DeleteHours"
  static let sql = "DELETE FROM store.business_hours WHERE tenant_id = $1 AND store_id = $2"
  var tenant: UUID
  var id: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
  }
}

struct InsertHours: Statement {
  static let name = "InsertHours"
  static let sql = """
    INSERT INTO store.business_hours (tenant_id, store_id, day_of_week, start_second, end_second)
    SELECT $1, $2, new.day_of_week, new.start_second, new.end_second
    FROM unnest($3::int2[], $4::int4[], $5::int4[]) AS new (day_of_week, start_second, end_second)
    """
  var tenant: UUID
  var id: UUID
  var hours: [StoredHours]

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(hours.map { Int16($0.dayOfWeek) })
    bindings.append(hours.map { Int32($0.startSecond) })
    bindings.append(hours.map { Int32($0.endSecond) })
  }
}
