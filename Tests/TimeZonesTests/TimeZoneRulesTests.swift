import Foundation
import Testing

@testable import TimeZones

@Suite("Time zones")
struct TimeZoneRulesTests {
  private static func second(_ text: String) throws -> Int64 {
    Int64(try Date("\(text)Z", strategy: .iso8601).timeIntervalSince1970)
  }

  @Test(
    "A local time is found once, twice, or past the gap",
    arguments: [
      // zone, wall clock, UTC when it opens a store, UTC when it closes one
      ("America/New_York", "2023-03-12T02:30:00", "2023-03-12T07:30:00", "2023-03-12T07:30:00"),
      ("America/New_York", "2023-11-05T01:30:00", "2023-11-05T05:30:00", "2023-11-05T06:30:00"),
      ("America/New_York", "2023-11-05T02:00:00", "2023-11-05T07:00:00", "2023-11-05T07:00:00"),
      ("America/New_York", "2123-03-14T02:30:00", "2123-03-14T07:30:00", "2123-03-14T07:30:00"),
      ("America/New_York", "9323-11-07T01:30:00", "9323-11-07T05:30:00", "9323-11-07T06:30:00"),
      ("Australia/Lord_Howe", "2023-04-02T01:45:00", "2023-04-01T14:45:00", "2023-04-01T15:15:00"),
      ("Australia/Lord_Howe", "2023-10-01T02:15:00", "2023-09-30T15:45:00", "2023-09-30T15:45:00"),
      ("Asia/Kolkata", "2023-04-02T00:00:00", "2023-04-01T18:30:00", "2023-04-01T18:30:00"),
      ("Pacific/Apia", "2011-12-30T09:00:00", "2011-12-30T19:00:00", "2011-12-30T19:00:00"),
      ("America/Sao_Paulo", "2018-11-04T00:30:00", "2018-11-04T03:30:00", "2018-11-04T03:30:00"),
      ("Europe/Dublin", "2023-10-29T01:30:00", "2023-10-29T00:30:00", "2023-10-29T01:30:00"),
      ("America/New_York", "1800-01-01T00:00:00", "1800-01-01T04:56:02", "1800-01-01T04:56:02"),
    ])
  func resolution(zone: String, wall: String, opens: String, closes: String) throws {
    let rules = try TimeZoneRules.installed(zone)
    let local = try Self.second(wall)
    #expect(try rules.utc(localSecond: local, .first) == Self.second(opens))
    #expect(try rules.utc(localSecond: local, .second) == Self.second(closes))
  }

  @Test(
    "Offsets are Foundation's, from 1990 to 2025",
    arguments: [
      "America/New_York", "America/Chicago", "America/Phoenix", "America/St_Johns", "America/Sao_Paulo",
      "America/Havana", "Europe/London", "Europe/Dublin", "Africa/Casablanca", "Asia/Beirut", "Asia/Kolkata",
      "Asia/Tehran", "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Chatham", "Antarctica/Troll",
      "Etc/UTC", "Pacific/Apia", "Asia/Gaza",
    ])
  func offsets(zone: String) throws {
    let rules = try TimeZoneRules.installed(zone)
    let foundation = try #require(TimeZone(identifier: zone))
    // Foundation carries a database of its own; about the future, and the far past, the two may disagree.
    for second in stride(from: Int64(631_152_000), to: 1_735_689_600, by: 7 * 3601) {
      let expected = foundation.secondsFromGMT(for: Date(timeIntervalSince1970: Double(second)))
      guard rules.offset(atUTC: second) == Int64(expected) else {
        Issue.record("\(zone) at \(second): \(rules.offset(atUTC: second)), expected \(expected)")
        return
      }
    }
  }

  @Test("After the table the rule in the footer goes on, for ever")
  func footer() throws {
    let rules = try TimeZoneRules.installed("America/Chicago")
    #expect(try rules.offset(atUTC: Self.second("2500-07-01T00:00:00")) == -5 * 3600)
    #expect(try rules.offset(atUTC: Self.second("2500-01-01T00:00:00")) == -6 * 3600)
    #expect(try rules.offset(atUTC: Self.second("9999-07-01T00:00:00")) == -5 * 3600)
  }

  @Test(
    "Footers of every form are read",
    arguments: [
      ("CST6CDT,M3.2.0,M11.1.0", -6, -5), ("<+0330>-3:30<+0430>,J79/24,J263/24", 3, 4),
      ("IST-1GMT0,M10.5.0,M3.5.0/1", 1, 0), ("EST5EDT,0/0,J365/25", -5, -4), ("UTC0", 0, nil),
      ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -2, -1),
    ] as [(String, Int64, Int64?)])
  func footers(text: String, standard: Int64, daylight: Int64?) throws {
    let rule = try #require(PosixTimeZone(text.utf8))
    #expect(rule.standardOffset / 3600 == standard)
    #expect(rule.daylight.map { $0.offset / 3600 } == daylight)
  }

  @Test(
    "What is no footer is refused", arguments: ["", "C", "CST", "CST6CDT", "CST6CDT,M13.1.0,M1.1.0", "CST6x"])
  func badFooters(text: String) {
    #expect(PosixTimeZone(text.utf8) == nil)
  }

  @Test("A file cut short anywhere is refused, and nothing worse")
  func truncated() throws {
    let whole = try Array(Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/Europe/London")))
    for length in 0..<whole.count {
      #expect(throws: TZifError.self) { try TimeZoneRules(tzif: Array(whole[..<length])) }
    }
  }

  @Test(
    "Dates count days as the calendar does",
    arguments: [
      (1970, 1, 1, 0, 3), (2000, 2, 29, 11_016, 1), (1969, 12, 31, -1, 2), (2023, 1, 23, 19_380, 0),
      (1, 1, 1, -719_162, 0),
    ] as [(Int64, Int64, Int64, Int64, Int)])
  func dates(year: Int64, month: Int64, day: Int64, days: Int64, weekday: Int) {
    let date = CivilDate(year: year, month: month, day: day)
    #expect(date.daysSinceEpoch == days)
    #expect(date.weekday == weekday)
    #expect(date.components == (year, month, day))
  }
}
