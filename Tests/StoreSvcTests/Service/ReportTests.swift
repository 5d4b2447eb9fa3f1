import MainstreetAPI
import NIOCore
import RPC
import Testing

@testable import Jobs
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
      let id = try await house.trigger()
      let waiting = try await house.download("\(id)")
      #expect(waiting.type == "application/json" && waiting.body == #"{"status":"Running","progress":0.0}"#)
      #expect(try await house.getReport(id).status == .queued)

      let dead = try await ReportHand(house)
      let lost = try await dead.takeOne()
      #expect(lost.id == id && lost.attempt == 1)
      try await dead.die()
      let alive = try await ReportHand(house)
      let taken = try await alive.takeOne()
      #expect(taken.id == id && taken.attempt == 2)
      #expect(try await ReportHand(house).take().isEmpty)

      await #expect(throws: JobError.lost) { try await dead.compute(lost) }
      #expect(try await house.getReport(id).status == .running)
      try await alive.compute(taken)
      #expect(try await house.download("\(id)").body.hasPrefix(ReportCSV.header))
      // Whoever comes late, however late, changes nothing.
      try await dead.compute(lost)
      let report = try await house.getReport(id)
      #expect(report.status == .complete && report.rowCount == 2)
      #expect(try await house.jobs.find(id, tenant: TestHouse.tenant)?.station == .succeeded)
    }
  }

  @Test("How far a report is, is told while it runs")
  func progress() async throws {
    try await TestHouse.with(works: false) { house in
      let id = try await house.trigger()
      let hand = try await ReportHand(house)
      try await hand.report(0.25, of: try await hand.takeOne())
      let report = try await house.getReport(id)
      #expect(report.status == .running && report.progress == 0.25)
      #expect(try await house.download("\(id)").body == #"{"status":"Running","progress":0.25}"#)
    }
  }

  @Test("A report that kills its workers is given up, and does not count among those that wait")
  func givenUp() async throws {
    try await TestHouse.with(works: false) { house in
      let id = try await house.trigger()
      for attempt in 1...3 {
        let hand = try await ReportHand(house)
        #expect(try await hand.takeOne().attempt == attempt)
        try await hand.die()
      }
      #expect(try await ReportHand(house).take().isEmpty)
      #expect(try await house.download("\(id)").body == #"{"status":"Failed","reason":"INTERNAL"}"#)
      for _ in 0..<OpenReport.mostOpen { _ = try await house.trigger() }
      let report = try await house.getReport(id)
      #expect(report.status == .failed && report.failureReason == "INTERNAL" && report.completedAt != nil)
    }
  }

  @Test(
    "A report that cannot be computed has failed at once, with the reason; run again, it may yet be complete")
  func redriven() async throws {
    try await TestHouse.with { house in
      let store = try await house.create()
      func move(to zone: String) async throws {
        try await house.superuser.run(
          sql: "UPDATE store.stores SET timezone = '\(zone)' WHERE store_id = '\(store.storeId)'")
      }
      _ = try await house.stores.setBusinessHours(
        SetBusinessHoursRequest(
          storeId: store.storeId,
          hours: [BusinessHours(dayOfWeek: 0, startTime: "09:00", endTime: "12:00")]),
        options: CallOptions(metadata: TestHouse.principal()))
      try await move(to: "Mars/Olympus")
      let failed = try await house.report()
      #expect(failed.status == .failed && failed.failureReason == "UNKNOWN_TIMEZONE: Mars/Olympus")
      #expect(failed.completedAt != nil && failed.progress == 0)
      #expect(
        try await house.download(failed.reportId).body
          == #"{"status":"Failed","reason":"UNKNOWN_TIMEZONE: Mars/Olympus"}"#)
      // Another closes the first, which changes nothing about it.
      _ = try await house.report()
      let id = try #require(UUID(failed.reportId))
      #expect(try await house.getReport(id) == failed)

      try await move(to: "America/New_York")
      let redriven = try await house.admin.redriveDeadJobs(
        RedriveDeadJobsRequest(
          filter: MainstreetAPI.DeadJobFilter(jobIds: ["\(id)"], errorCode: "UNKNOWN_TIMEZONE")),
        options: CallOptions(metadata: TestHouse.principal()))
      #expect(redriven.message.redriven == 1)
      _ = try await house.wait(for: id, at: .succeeded)
      let report = try await house.getReport(id)
      #expect(report.status == .complete && report.rowCount == 1 && report.failureReason == nil)
    }
  }

  @Test("A report whose job was called off has failed")
  func cancelled() async throws {
    try await TestHouse.with(works: false) { house in
      let id = try await house.trigger()
      #expect(try await house.jobs.cancel(id, tenant: TestHouse.tenant) == .cancelled)
      let report = try await house.getReport(id)
      #expect(report.status == .failed && report.failureReason == "CANCELLED")
    }
  }

  @Test("A report that is refused leaves no job behind")
  func together() async throws {
    try await TestHouse.with(works: false) { house in
      for _ in 0..<OpenReport.mostOpen { _ = try await house.trigger() }
      try await expectReason("TOO_MANY_REPORTS") { try await house.trigger() }
      let counts = try await house.jobs.counts()
      #expect(counts.map(\.jobs) == [Int64(OpenReport.mostOpen)])
    }
  }

  @Test("Two workers never compute the same report")
  func manyWorkers() async throws {
    try await TestHouse.with(works: false) { house in
      for _ in 0..<20 { _ = try await house.trigger(as: .v7(now: .now())) }
      let taken = try await withThrowingTaskGroup(of: [UUID].self) { group in
        for _ in 0..<4 {
          group.addTask {
            let hand = try await ReportHand(house)
            var taken: [UUID] = []
            while let job = try await hand.take().first { taken.append(job.id) }
            return taken
          }
        }
        return try await group.reduce(into: [UUID]()) { $0 += $1 }
      }
      #expect(taken.count == 20 && Set(taken).count == 20)
    }
  }

  @Test("Twenty reports of a tenant may wait; another tenant's first comes before the second of them")
  func fairQueue() async throws {
    try await TestHouse.with(works: false) { house in
      for _ in 0..<OpenReport.mostOpen { _ = try await house.trigger() }
      try await expectReason("TOO_MANY_REPORTS") { try await house.trigger() }
      _ = try await house.trigger(as: TestHouse.stranger)
      let hand = try await ReportHand(house)
      let first = try await hand.take(30)
      #expect(first.count == 2 && Set(first.map(\.tenant)) == [TestHouse.tenant, TestHouse.stranger])
      #expect(try await hand.take(30).isEmpty)
      try await hand.finish(try #require(first.first { $0.tenant == TestHouse.tenant }))
      #expect(try await hand.take(30).map(\.tenant) == [TestHouse.tenant])
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
      let id = try await house.trigger()
      try await house.superuser.transaction(tenant: nil) { transaction in
        // Keeps whoever computes the report waiting.
        try await transaction.execute(sql: "LOCK TABLE store.business_hours")
        for attempt in 1...GenerateReport.options.maxAttempts + 1 {
          try await house.working {
            let running = try await house.wait(for: id, at: .running)
            #expect(running.attempt == attempt)
          }
          let status = try #require(try await house.jobs.find(id, tenant: TestHouse.tenant))
          #expect(status.station == .ready && status.failures.isEmpty)
          #expect(try await house.getReport(id).status == .queued)
        }
      }
      try await house.working { _ = try await house.wait(for: id, at: .succeeded) }
      #expect(try await house.getReport(id).status == .complete)
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
