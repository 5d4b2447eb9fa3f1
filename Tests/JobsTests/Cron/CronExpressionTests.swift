import Foundation
import Testing

@testable import Jobs
@testable import TimeZones

@Suite("Cron expressions")
struct CronExpressionTests {
  private static func second(_ text: String) throws -> Int64 {
    Int64(try Date("\(text)Z", strategy: .iso8601).timeIntervalSince1970)
  }

  private static func text(_ second: Int64) -> String {
    String(Date(timeIntervalSince1970: Double(second)).formatted(.iso8601).dropLast(4))
  }

  private static func times(
    _ expression: String, _ zone: String, from start: String, _ count: Int
  ) throws -> [String] {
    let rules = try TimeZones().rules(zone)
    let expression = try CronExpression(expression)
    var times: [String] = []
    var now = try second("\(start):00")
    for _ in 0..<count {
      now = try #require(expression.next(after: now, in: rules))
      times.append(text(now))
    }
    return times
  }

  @Test(
    "Times come in their order, each strictly after the one before",
    arguments: [
      ("*/15 * * * *", "2026-01-01T00:07", ["2026-01-01T00:15", "2026-01-01T00:30", "2026-01-01T00:45"]),
      ("0 0 * * *", "2026-01-01T00:00", ["2026-01-02T00:00", "2026-01-03T00:00"]),
      (
        "30 9-17/4 * * mon-fri", "2026-01-02T10:00",
        ["2026-01-02T13:30", "2026-01-02T17:30", "2026-01-05T09:30"]
      ),
      ("0 12 1,15 * *", "2026-01-20T00:00", ["2026-02-01T12:00", "2026-02-15T12:00"]),
      ("0 12 13 * fri", "2026-02-01T00:00", ["2026-02-06T12:00", "2026-02-13T12:00", "2026-02-20T12:00"]),
      ("0 0 * * 7", "2026-01-01T00:00", ["2026-01-04T00:00", "2026-01-11T00:00"]),
      ("0 0 29 feb *", "2026-01-01T00:00", ["2028-02-29T00:00", "2032-02-29T00:00"]),
      ("5/20 0 * * *", "2026-01-01T00:00", ["2026-01-01T00:05", "2026-01-01T00:25", "2026-01-01T00:45"]),
      ("59 23 31 12 *", "2026-12-31T23:59", ["2027-12-31T23:59"]),
      ("@hourly", "2026-01-01T00:59", ["2026-01-01T01:00", "2026-01-01T02:00"]),
      ("@weekly", "2026-01-01T00:00", ["2026-01-04T00:00"]),
      ("@yearly", "2026-01-01T00:00", ["2027-01-01T00:00"]),
      ("*/7 * 1 jan *", "2026-01-01T23:50", ["2026-01-01T23:56", "2027-01-01T00:00"]),
    ])
  func order(expression: String, start: String, expected: [String]) throws {
    #expect(try Self.times(expression, "UTC", from: start, expected.count) == expected)
  }

  @Test(
    "What has an hour is done once a day, also when clocks change",
    arguments: [
      // Half past two does not come on the 8th of March: done at three, when the clocks have just gone forward.
      (
        "30 2 * * *", "America/New_York", "2026-03-07T00:00",
        ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"]
      ),
      // Half past one comes twice on the 1st of November: done the first time.
      (
        "30 1 * * *", "America/New_York", "2026-10-31T00:00",
        ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"]
      ),
      // Several in the gap are one.
      ("0,30 2 * * *", "America/New_York", "2026-03-08T06:00", ["2026-03-08T07:00", "2026-03-09T06:00"]),
      ("30 2,3 * * *", "America/New_York", "2026-03-08T06:00", ["2026-03-08T07:00", "2026-03-08T07:30"]),
      // Half an hour of difference.
      ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", ["2026-10-03T15:30", "2026-10-04T15:15"]),
      // Midnight does not come.
      ("0 0 * * *", "Africa/Cairo", "2026-04-22T22:30", ["2026-04-23T22:00", "2026-04-24T21:00"]),
      // A day that was skipped is done when it has been.
      (
        "0 12 * * *", "Pacific/Apia", "2011-12-29T12:00",
        ["2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"]
      ),
    ])
  func daily(expression: String, zone: String, start: String, expected: [String]) throws {
    #expect(try Self.times(expression, zone, from: start, expected.count) == expected)
  }

  @Test(
    "What is done every hour follows the time that passes",
    arguments: [
      (
        "30 * * * *", "America/New_York", "2026-11-01T05:00",
        ["2026-11-01T05:30", "2026-11-01T06:30", "2026-11-01T07:30"]
      ),
      ("30 * * * *", "America/New_York", "2026-03-08T06:00", ["2026-03-08T06:30", "2026-03-08T07:30"]),
      ("0 * * * *", "Australia/Lord_Howe", "2026-04-04T13:30", ["2026-04-04T14:00", "2026-04-04T15:30"]),
    ])
  func hourly(expression: String, zone: String, start: String, expected: [String]) throws {
    #expect(try Self.times(expression, zone, from: start, expected.count) == expected)
  }

  @Test(
    "A year has as many daily times as days, and as many hourly ones as hours, in every zone",
    arguments: [
      "America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca",
    ])
  func counts(zone: String) throws {
    let rules = try TimeZones().rules(zone)
    // Local midnights, so that whole local days are counted; the offset is the same at both.
    let start = rules.utc(localSecond: try Self.second("2025-01-01T00:00:00"), .first) - 1
    let end = rules.utc(localSecond: try Self.second("2026-01-01T00:00:00"), .first) - 1
    for (expression, expected) in [("30 2 * * *", 365), ("15 1 * * *", 365), ("*/10 * * * *", 365 * 144)] {
      let expression = try CronExpression(expression)
      var count = 0
      var now = start
      while let next = expression.next(after: now, in: rules), next <= end {
        (now, count) = (next, count + 1)
      }
      #expect(count == expected)
    }
  }

  @Test(
    "What cannot be understood is said to be wrong, field by field",
    arguments: [
      ("* * * *", "\"* * * *\" has 4 fields; minute, hour, day, month and weekday are wanted"),
      ("60 * * * *", "\"60\" is no minute: 0 to 59 are allowed"),
      ("* 24 * * *", "\"24\" is no hour: 0 to 23 are allowed"),
      ("* * 0 * *", "\"0\" is no day of the month: 1 to 31 are allowed"),
      ("* * * foo *", "\"foo\" is no month: 1 to 12 are allowed"),
      ("* * * * 8", "\"8\" is no day of the week: 0 to 7 are allowed"),
      ("*/0 * * * *", "\"*/0\" is no minute: a step is a number above 0"),
      ("30-10 * * * *", "\"30-10\" is no minute: the range goes backwards"),
      ("1,,2 * * * *", "\"\" is no minute: 0 to 59 are allowed"),
      ("+5 * * * *", "\"+5\" is no minute: 0 to 59 are allowed"),
      ("@never", "\"@never\" is none of @hourly, @daily, @weekly, @monthly and @yearly"),
      ("0 0 30 feb *", "\"0 0 30 feb *\" never comes: no month it names has such a day"),
    ])
  func errors(expression: String, complaint: String) {
    #expect(throws: CronError(complaint)) { try CronExpression(expression) }
  }

  @Test(
    "Missed times are made up for as asked",
    arguments: [
      (CronJob.Missed.skip, 30, [0]), (.skip, 7300, []), (.once, 7260, [7200]),
      (.all(most: 10), 7260, [0, 3600, 7200]),
      (.all(most: 2), 7260, [3600, 7200]), (.skip, 7230, [7200]), (.once, 0, [0]),
    ] as [(CronJob.Missed, Int64, [Int64])])
  func missed(policy: CronJob.Missed, late: Int64, expected: [Int64]) throws {
    let expression = try CronExpression("@hourly")
    let ticks = CronTicks(expression, in: TimeZoneRules(fixedOffset: 0), missed: policy, due: 0, now: late)
    #expect(ticks.times == expected)
    #expect(ticks.following == (late / 3600 + 1) * 3600)
  }
}
