import MainstreetAPI
import RPC
import Testing

@Suite struct ValidationTests {
  private static let id = "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"
  private static let now = Timestamp(seconds: 1_674_670_402, nanos: 0)

  private func violations(_ message: some RPC.Message) -> [String] {
    var violations: [FieldViolation] = []
    message.validate(into: &violations)
    return violations.map { "\($0.field) \($0.code)" }
  }

  @Test(
    "Good requests have no violations",
    arguments: [
      CreateStoreRequest(name: "Corner"),
      CreateStoreRequest(name: "Corner", timezone: "Europe/Berlin", externalId: "7"),
      GetStoreRequest(storeId: id), ListStoresRequest(), ListStoresRequest(limit: 100),
      UpdateStoreRequest(storeId: id), SetBusinessHoursRequest(storeId: id),
      SetBusinessHoursRequest(
        storeId: id, hours: [BusinessHours(dayOfWeek: 0, startTime: "22:00", endTime: "24:00")]),
      RecordPollRequest(storeId: id, status: .active, timestamp: now),
      RecordPollsRequest(polls: [Poll(storeId: id, status: .inactive, timestamp: now)]),
      TriggerReportRequest(), TriggerReportRequest(asOf: now, storeIds: [id], policy: .step),
      HealthCheckRequest(),
    ] as [any RPC.Message])
  func good(message: any RPC.Message) {
    #expect(violations(message) == [])
  }

  @Test(
    "Bad requests have every violation, with the path to the field",
    arguments: [
      (CreateStoreRequest(), ["name REQUIRED"]),
      (CreateStoreRequest(name: String(repeating: "é", count: 201)), ["name TOO_LONG"]),
      (
        CreateStoreRequest(name: "a", timezone: "Mars/Olympus", externalId: ""),
        ["timezone UNKNOWN_TIME_ZONE", "external_id TOO_SHORT"]
      ),
      (CreateStoreRequest(name: "a", timezone: ""), ["timezone UNKNOWN_TIME_ZONE"]),
      (GetStoreRequest(), ["store_id INVALID_UUID"]),
      (
        ListStoresRequest(limit: 101, cursor: String(repeating: "c", count: 513)),
        ["limit OUT_OF_RANGE", "cursor TOO_LONG"]
      ),
      (ListStoresRequest(limit: -1), ["limit OUT_OF_RANGE"]),
      (UpdateStoreRequest(storeId: id, name: ""), ["name TOO_SHORT"]),
      (
        SetBusinessHoursRequest(
          storeId: id,
          hours: [
            BusinessHours(dayOfWeek: 7, startTime: "9:00", endTime: "24:30"),
            BusinessHours(startTime: "09:00"),
          ]),
        [
          "hours[0].day_of_week OUT_OF_RANGE", "hours[0].start_time PATTERN_MISMATCH",
          "hours[0].end_time PATTERN_MISMATCH", "hours[1].day_of_week REQUIRED", "hours[1].end_time REQUIRED",
        ]
      ),
      (
        SetBusinessHoursRequest(
          storeId: id,
          hours: Array(
            repeating: BusinessHours(dayOfWeek: 0, startTime: "09:00", endTime: "10:00"), count: 101)),
        ["hours TOO_MANY_ITEMS"]
      ),
      (RecordPollRequest(storeId: id), ["status REQUIRED", "timestamp REQUIRED"]),
      (
        RecordPollRequest(storeId: id, status: .unrecognized(9), timestamp: Timestamp(seconds: 1, nanos: -1)),
        ["status UNKNOWN_VALUE", "timestamp INVALID_TIMESTAMP"]
      ),
      (RecordPollsRequest(), ["polls TOO_FEW_ITEMS"]),
      (
        RecordPollsRequest(polls: [
          Poll(storeId: id, status: .active, timestamp: now),
          Poll(storeId: "x", status: .active, timestamp: now),
        ]),
        ["polls[1].store_id INVALID_UUID"]
      ),
      (
        TriggerReportRequest(
          asOf: Timestamp(seconds: .max, nanos: 0), storeIds: [id, "y"], policy: .unrecognized(8)),
        ["as_of INVALID_TIMESTAMP", "store_ids[1] INVALID_UUID", "policy UNKNOWN_VALUE"]
      ),
    ] as [(any RPC.Message, [String])])
  func bad(message: any RPC.Message, expected: [String]) {
    #expect(violations(message) == expected)
  }

  @Test("A request wrong in thousands of places is told of twenty")
  func limit() {
    let polls = Array(repeating: Poll(storeId: "x"), count: 10_000)
    #expect(violations(RecordPollsRequest(polls: polls)).count == 20)
  }

  @Test("A list that is too long is not looked into")
  func longList() {
    let polls = Array(repeating: Poll(storeId: "x"), count: 10_001)
    #expect(violations(RecordPollsRequest(polls: polls)) == ["polls TOO_MANY_ITEMS"])
  }

  @Test("The sentence names what the field must be")
  func sentence() {
    var violations: [FieldViolation] = []
    CreateStoreRequest(name: "a", timezone: "Berlin").validate(into: &violations)
    #expect(violations.first?.message == "must be an IANA time zone, such as America/Chicago")
  }

  @Test("An rpc table names every rpc and who may call it")
  func serviceDefinition() {
    struct AlwaysServing: Health {
      func check(_ request: HealthCheckRequest, _ context: CallContext) async throws -> HealthCheckResponse {
        HealthCheckResponse(status: .serving)
      }
      func list(_ request: HealthListRequest, _ context: CallContext) async throws -> HealthListResponse {
        HealthListResponse()
      }
      func watch(
        _ request: HealthCheckRequest, _ responses: ResponseWriter<HealthCheckResponse>,
        _ context: CallContext
      ) async throws {
        try await responses.write(HealthCheckResponse(status: .serving))
      }
    }
    let definition = AlwaysServing().serviceDefinition
    #expect(definition.name == "grpc.health.v1.Health")
    #expect(definition.methods.map(\.name) == ["Check", "List", "Watch"])
    #expect(definition.methods.allSatisfy { $0.access == .public })
  }
}
