import MainstreetAPI
import NIOCore
import RPC
import Testing

@testable import Postgres
@testable import StoreSvc

@Suite("Reports")
struct ReportTests {
  private static let zones = "store_id,timezone_str\nnew-york,America/New_York\n"
  private static let hours = """
    store_id,day,start_time_local,end_time_local
    new-york,0,09:00:00,12:00:00

    """
  /// Monday 2023-01-23 in New York: up at 10:14, down at 11:15.
  private static let polls = """
    store_id,status,timestamp_utc
    new-york,inactive,2023-01-23 16:15:00 UTC
    new-york,active,2023-01-23 15:14:00 UTC
    =always,active,2023-01-23 12:00:00 UTC

    """

  @Test("From three files to the report: the worked example, a store that is always open, an escaped id")
  func workedExample() async throws {
    try await TestHouse.with { house in
      _ = try await house.importFile(.timezones, Self.zones)
      _ = try await house.importFile(.hours, Self.hours)
      _ = try await house.importFile(.polls, Self.polls)
      let asOf = Timestamp(seconds: 1_674_511_200, nanos: 0)
      let report = try await house.report(asOf: asOf)
      #expect(report.status == .complete && report.rowCount == 2 && report.progress == 1)
      #expect(
        report.asOf == asOf && report.policy == .step && report.engineVersion == ReportBuilder.engineVersion)
      let download = try await house.download(report.reportId)
      #expect(download.type == "text/csv; charset=utf-8")
      #expect(download.name == "attachment; filename=report-\(report.reportId).csv")
      #expect(
        download.body == ReportCSV.header + "'=always,60,24,168,0,0,0\nnew-york,0,2.25,2.25,0,0.75,0.75\n")
    }
  }

  @Test("Without an asOf a report ends at the newest poll, and covers the stores asked for")
  func newestPoll() async throws {
    try await TestHouse.with { house in
      _ = try await house.importFile(.polls, Self.polls)
      let stores = try await house.stores.listStores(
        ListStoresRequest(), options: CallOptions(metadata: TestHouse.principal())
      )
      .message.stores
      let always = try #require(stores.first { $0.externalId == "=always" })
      let report = try await house.report(stores: [always.storeId])
      #expect(report.asOf == Timestamp(seconds: 1_674_490_500, nanos: 0))
      #expect(
        try await house.download(report.reportId).body == ReportCSV.header + "'=always,60,24,168,0,0,0\n")
      let uptime = try await house.stores.getUptimeLastHour(
        GetUptimeLastHourRequest(storeId: always.storeId),
        options: CallOptions(metadata: TestHouse.principal()))
      #expect(uptime.message == GetUptimeLastHourResponse(uptimeMinutes: 60, downtimeMinutes: 0))
    }
  }

  @Test("A tenant without stores has an empty report")
  func empty() async throws {
    try await TestHouse.with { house in
      let report = try await house.report()
      #expect(try await house.download(report.reportId).body == ReportCSV.header)
    }
  }

  @Test("A report belongs to its tenant, and only stores that are there can be asked for")
  func refusals() async throws {
    try await TestHouse.with { house in
      let report = try await house.report()
      try await expectReason("REPORT_NOT_FOUND") {
        try await house.download(report.reportId, as: TestHouse.stranger)
      }
      try await expectReason("STORE_NOT_FOUND") { try await house.report(stores: ["\(TestHouse.stranger)"]) }
      try await expectReason("AS_OF_IN_FUTURE") {
        try await house.report(asOf: Timestamp(seconds: PostgresTimestamp.now().seconds + 3600, nanos: 0))
      }
    }
  }

  @Test("What a dead worker left is finished by the next, and the dead worker's late word is refused")
  func takeover() async throws {
    try await TestHouse.with(works: false) { house in
      _ = try await house.importFile(.polls, Self.polls)
      let id = try await house.stores.triggerReport(
        TriggerReportRequest(), options: CallOptions(metadata: TestHouse.principal())
      ).message.reportId
      let running = try await house.download(id)
      #expect(running.type == "application/json" && running.body == #"{"status":"Running","progress":0.0}"#)

      // A lease of no length is one that has run out.
      var timing = ReportWorker.Timing()
      timing.lease = .zero
      let dead = try #require(try await house.postgres.executeOne(ClaimReport(timing: timing), tenant: nil))
      #expect(dead.attempt == 1)
      timing.lease = .seconds(60)
      let alive = try #require(try await house.postgres.executeOne(ClaimReport(timing: timing), tenant: nil))
      #expect(alive.report == dead.report && alive.attempt == 2)
      #expect(try await house.postgres.executeOne(ClaimReport(timing: timing), tenant: nil) == nil)

      await #expect(throws: LeaseLost.self) {
        try await GenerateReport(postgres: house.postgres, zones: house.zones, claim: dead).run { _ in }
      }
      await house.worker.work(on: alive)
      #expect(try await house.download(id).body.hasPrefix(ReportCSV.header))
      // Saving twice is refused as well.
      await house.worker.work(on: alive)
      let report = try await house.stores.getReport(
        GetReportRequest(reportId: id), options: CallOptions(metadata: TestHouse.principal()))
      #expect(report.message.status == .complete && report.message.rowCount == 2)
    }
  }

  @Test("A report that kills its workers is given up")
  func givenUp() async throws {
    try await TestHouse.with(works: false) { house in
      let id = try await house.stores.triggerReport(
        TriggerReportRequest(), options: CallOptions(metadata: TestHouse.principal())
      ).message.reportId
      var timing = ReportWorker.Timing()
      timing.lease = .zero
      for attempt in 1...timing.mostAttempts {
        let claim = try await house.postgres.executeOne(ClaimReport(timing: timing), tenant: nil)
        #expect(claim?.attempt == attempt)
      }
      #expect(try await house.postgres.executeOne(ClaimReport(timing: timing), tenant: nil) == nil)
      #expect(try await house.download(id).body == #"{"status":"Failed","reason":"INTERNAL"}"#)
    }
  }

  @Test("Two workers never compute the same report")
  func manyWorkers() async throws {
    try await TestHouse.with(works: false) { house in
      for _ in 0..<20 {
        _ = try await house.stores.triggerReport(
          TriggerReportRequest(), options: CallOptions(metadata: TestHouse.principal()))
      }
      let claims = try await withThrowingTaskGroup(of: [UUID].self) { group in
        for _ in 0..<4 {
          group.addTask {
            var claimed: [UUID] = []
            while let claim = try await house.postgres.executeOne(
              ClaimReport(timing: ReportWorker.Timing()), tenant: nil)
            {
              claimed.append(claim.report)
            }
            return claimed
          }
        }
        return try await group.reduce(into: [UUID]()) { $0 += $1 }
      }
      #expect(claims.count == 20 && Set(claims).count == 20)
    }
  }

  @Test("Twenty reports of a tenant may wait; another tenant's first comes before the second of them")
  func fairQueue() async throws {
    try await TestHouse.with(works: false) { house in
      func trigger(_ tenant: UUID) async throws {
        _ = try await house.stores.triggerReport(
          TriggerReportRequest(), options: CallOptions(metadata: TestHouse.principal(tenant)))
      }
      for _ in 0..<QueueReport.mostOpen { try await trigger(TestHouse.tenant) }
      try await expectReason("TOO_MANY_REPORTS") { try await trigger(TestHouse.tenant) }
      try await trigger(TestHouse.stranger)
      var order: [UUID] = []
      for _ in 0..<3 {
        let claim = ClaimReport(timing: ReportWorker.Timing())
        order.append(try #require(try await house.postgres.executeOne(claim, tenant: nil)).tenant)
      }
      #expect(order == [TestHouse.tenant, TestHouse.stranger, TestHouse.tenant])
    }
  }

  @Test("The newest hundred finished reports are kept")
  func retention() async throws {
    try await TestHouse.with { house in
      try await house.superuser.run(
        sql: """
          INSERT INTO store.reports
            (tenant_id, report_id, status, policy, failure_reason, created_at, completed_at)
          SELECT '\(TestHouse.tenant)', gen_random_uuid(), 'failed', 'step', 'INTERNAL', now(),
            now() - make_interval(secs => n)
          FROM generate_series(1, 120) AS n
          """)
      let report = try await house.report()
      #expect(try await house.superuser.executeOne(CountReports(), tenant: nil) == 100)
      #expect(try await house.download(report.reportId).body == ReportCSV.header)
    }
  }

  @Test("An attempt that a shutdown cut short does not count")
  func givenBack() async throws {
    try await TestHouse.with(works: false) { house in
      _ = try await house.stores.triggerReport(
        TriggerReportRequest(), options: CallOptions(metadata: TestHouse.principal()))
      for attempt in 1...2 * house.worker.timing.mostAttempts {
        let find = ClaimReport(timing: house.worker.timing)
        let claim = try #require(try await house.postgres.executeOne(find, tenant: nil))
        #expect(claim.attempt == attempt)
        await Task {
          withUnsafeCurrentTask { $0?.cancel() }
          await house.worker.work(on: claim)
        }.value
      }
    }
  }

  @Test("The last hour counts all of more polls than a page holds")
  func busyHour() async throws {
    try await TestHouse.with(works: false) { house in
      var text = "store_id,status,timestamp_utc\n"
      // Up for the first half of the hour, every 0.3 seconds, and then down.
      for poll in 1...12_000 {
        let at = Instant(microseconds: 1_674_388_800_000_000 + Int64(poll) * 300_000)
        let second = at.microseconds / 1_000_000 % 3600
        let fraction = at.microseconds / 100_000 % 10
        let minute = "\(second / 600)\(second / 60 % 10)"
        let hour = poll == 12_000 ? 13 : 12
        let status = poll <= 6000 ? "active" : "inactive"
        text += "a,\(status),2023-01-22 \(hour):\(minute):\(second % 60 / 10)\(second % 10).\(fraction) UTC\n"
      }
      let summary = try await house.importFile(.polls, text)
      #expect(summary.accepted == 12_000)
      let stores = try await house.stores.listStores(
        ListStoresRequest(), options: CallOptions(metadata: TestHouse.principal()))
      let uptime = try await house.stores.getUptimeLastHour(
        GetUptimeLastHourRequest(storeId: stores.message.stores[0].storeId),
        options: CallOptions(metadata: TestHouse.principal()))
      #expect(uptime.message.uptimeMinutes + uptime.message.downtimeMinutes >= 59.99)
      #expect((29.9...30.1).contains(uptime.message.downtimeMinutes))
    }
  }
}

private struct CountReports: Statement {
  static let name = "CountReports"
  static let sql = "SELECT count(*) FROM store.reports"
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}
