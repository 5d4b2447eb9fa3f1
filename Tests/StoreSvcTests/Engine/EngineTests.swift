import Foundation
import Testing

@testable import StoreSvc
@testable import TimeZones

@Suite("Uptime engine")
struct EngineTests {
  @Test("Every figure of a random world is what counting minute by minute gives", arguments: 0..<85)
  func minuteOracle(seed: UInt64) throws {
    let world = try World(seed: seed, storeCount: 6, grid: 60_000_000)
    let oracle = MinuteOracle(zone: try #require(TimeZone(identifier: world.zone)), asOf: world.asOf)
    let uptimes = try world.engineUptimes()
    for (store, uptime) in zip(world.stores, uptimes) {
      #expect(try uptime == oracle.uptime(of: store), "\(world.zone) as of \(world.asOf): \(store.hours)")
    }
  }

  @Test("Up, down and unknown add up to the time a store was open", arguments: 1000..<1300)
  func invariant(seed: UInt64) throws {
    let world = try World(seed: seed, storeCount: 8, grid: 1)
    let windows = ReportWindows(asOf: world.asOf)
    var openHours = OpenHours(windows: windows) { try TimeZoneRules.installed($0) }
    for (store, uptime) in zip(world.stores, try world.engineUptimes()) {
      let ranges = try openHours.ranges(zone: world.zone, schedule: store.schedule)
      var open = WindowTotals()
      for range in ranges { open.add(range, in: windows) }
      #expect(uptime.up + uptime.down + uptime.unknown == open)
      #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.end < $1.start })
      #expect(
        store.polls.contains { $0.at <= world.asOf }
          ? uptime.unknown == WindowTotals() : uptime.up == WindowTotals())
    }
  }

  @Test("Open 9 to 12, up at 10:14, down at 11:15: 135 minutes up, 45 down")
  func workedExample() throws {
    let monday = CivilDate(year: 2023, month: 1, day: 23)
    func instant(_ hour: Int64, _ minute: Int64) -> Instant {
      Instant(seconds: monday.localSecond + hour * 3600 + minute * 60)
    }
    let nineToTwelve = try #require(OpenInterval(weekday: 0, start: 9 * 3600, end: 12 * 3600))
    let windows = ReportWindows(asOf: instant(18, 0))
    var openHours = OpenHours(windows: windows) { _ in TimeZoneRules(fixedOffset: 0) }
    let ranges = try openHours.ranges(zone: "Etc/UTC", schedule: WeeklySchedule([nineToTwelve]))
    var tally = StepTally(open: ranges, windows: windows)
    tally.poll(at: instant(10, 14), isActive: true)
    tally.poll(at: instant(11, 15), isActive: false)
    let uptime = tally.finish()
    #expect(uptime.up.day == 135 * 60_000_000)
    #expect(uptime.down.day == 45 * 60_000_000)
    #expect(uptime.up.hour == 0)
  }

  @Test("A poll at asOf counts and one after it does not")
  func polledAtAsOf() {
    let windows = ReportWindows(asOf: Instant(seconds: 1_000_000))
    let always = [TimeRange(start: windows.weekStart, end: windows.asOf)]
    var atAsOf = StepTally(open: always, windows: windows)
    atAsOf.poll(at: windows.asOf, isActive: true)
    #expect(atAsOf.finish().up.hour == 3_600_000_000)
    var after = StepTally(open: always, windows: windows)
    after.poll(at: Instant(microseconds: windows.asOf.microseconds + 1), isActive: true)
    #expect(after.finish().unknown.hour == 3_600_000_000)
  }

  @Test(
    "Hours say midnight in several ways and run past it when they end before they start",
    arguments: [
      (9, 86_340, 86_400), (9, 86_399, 86_400), (9, 86_400, 86_400), (9 * 3600, 2 * 3600, 26 * 3600),
      (0, 0, 86_400), (10, 10, 86_410), (86_399, 86_399, 86_400), (9, 86_398, 86_398),
    ] as [(Int64, Int64, Int64)])
  func closing(start: Int64, end: Int64, closes: Int64) throws {
    let interval = try #require(OpenInterval(weekday: 6, start: start, end: end))
    #expect(interval.closes == closes)
  }

  @Test(
    "Hours out of range are no hours",
    arguments: [(7, 0, 60), (-1, 0, 60), (0, 86_400, 60), (0, -1, 60), (0, 0, 86_401)]
      as [(Int, Int64, Int64)])
  func badHours(weekday: Int, start: Int64, end: Int64) {
    #expect(OpenInterval(weekday: weekday, start: start, end: end) == nil)
  }

  @Test(
    "Figures are rounded half away from zero and shed trailing zeros",
    arguments: [
      (0, "0"), (2_700_000_000, "45"), (750_000_000, "12.5"), (300_000, "0.01"), (299_999, "0"),
      (3_600_000_000, "60"), (3_599_700_000, "60"), (3_599_699_999, "59.99"), (4_818_000_000, "80.3"),
    ] as [(Int64, String)])
  func rounding(microseconds: Int64, text: String) {
    var csv = ReportCSV(rowCount: 0)
    let header = csv.bytes.count
    csv.appendHundredths(of: microseconds, unit: 60_000_000)
    #expect(String(decoding: csv.bytes[header...], as: UTF8.self) == text)
  }

  @Test(
    "A store id that is a formula or holds a separator cannot leave its cell",
    arguments: [
      ("plain", "plain"), ("=1+1", "'=1+1"), ("-5", "'-5"), ("@x", "'@x"), ("a,b", "\"a,b\""),
      ("a\"b", "\"a\"\"b\""), ("\tx", "'\tx"), ("+1,2", "\"'+1,2\""),
    ])
  func escaping(id: String, cell: String) {
    var csv = ReportCSV(rowCount: 1)
    csv.append(storeID: id, Uptime())
    #expect(String(decoding: csv.bytes, as: UTF8.self) == ReportCSV.header + cell + ",0,0,0,0,0,0\n")
  }
}
