import TimeZones

/// Turns weekly schedules into the ranges of real time a store was open during a report's week, each
/// (zone, schedule) once.
struct OpenHours {
  private let windows: ReportWindows
  private var rangesBySchedule: [Key: [TimeRange]] = [:]
  private var clocks: [String: LocalClock] = [:]
  private let rules: (String) throws -> TimeZoneRules

  private struct Key: Hashable {
    var zone: String
    var schedule: WeeklySchedule
  }

  /// `rules` finds the zone of that IANA name; it is asked once for each.
  init(windows: ReportWindows, rules: @escaping (String) throws -> TimeZoneRules) {
    self.windows = windows
    self.rules = rules
  }

  /// Ascending, disjoint, not touching, inside the week.
  mutating func ranges(zone: String, schedule: WeeklySchedule) throws -> [TimeRange] {
    if schedule.isAlwaysOpen { return [TimeRange(start: windows.weekStart, end: windows.asOf)] }
    let key = Key(zone: zone, schedule: schedule)
    if let known = rangesBySchedule[key] { return known }
    var clock = try clocks[zone] ?? LocalClock(rules: rules(zone), windows: windows)
    let ranges = Self.ranges(of: schedule, clock: &clock, windows: windows)
    clocks[zone] = clock
    rangesBySchedule[key] = ranges
    return ranges
  }

  static func ranges(
    of schedule: WeeklySchedule, clock: inout LocalClock, windows: ReportWindows
  ) -> [TimeRange] {
    var ranges: [TimeRange] = []
    var date = clock.firstDate
    while date <= clock.lastDate {
      let weekday = date.weekday
      for interval in schedule.intervals where interval.weekday == weekday {
        let opens = clock.instant(date, interval.opens, .first)
        let closes = clock.instant(date, interval.closes, .second)
        let start = max(opens, windows.weekStart)
        let end = min(closes, windows.asOf)
        // The gap in spring can swallow an interval, even turn it around.
        if start < end { ranges.append(TimeRange(start: start, end: end)) }
      }
      date = date + 1
    }
    return merged(ranges)
  }

  /// Joins ranges that overlap or touch, so that no moment is counted twice.
  private static func merged(_ ranges: [TimeRange]) -> [TimeRange] {
    var result: [TimeRange] = []
    for range in ranges.sorted(by: { $0.start < $1.start }) {
      if let last = result.last, range.start <= last.end {
        result[result.count - 1].end = max(last.end, range.end)
      } else {
        result.append(range)
      }
    }
    return result
  }
}

/// A zone's clock during one report, remembering what it worked out: (date, second) → instant.
struct LocalClock {
  private let rules: TimeZoneRules
  /// Set when the clocks do not change in these weeks, as in most: then there is nothing to look up.
  private let constantOffset: Int64?
  private var known: [Reading: Instant] = [:]
  let firstDate: CivilDate
  let lastDate: CivilDate

  private struct Reading: Hashable {
    var localSecond: Int64
    var occurrence: TimeZoneRules.Occurrence
  }

  init(rules: TimeZoneRules, windows: ReportWindows) {
    self.rules = rules
    let start = windows.weekStart.secondsRoundedDown
    let end = windows.asOf.secondsRoundedDown
    let margin = 4 * CivilDate.secondsPerDay
    constantOffset =
      rules.isConstant(fromUTC: start - margin, toUTC: end + margin) ? rules.offset(atUTC: start) : nil
    // Hours of the day before may run past midnight into the window. We look at one more, because a zone that
    // skips a whole day (Pacific/Apia left out 30 December 2011) pushes that day's hours into the next.
    firstDate = CivilDate(containingLocalSecond: start + rules.offset(atUTC: start)) + -2
    lastDate = CivilDate(containingLocalSecond: end + rules.offset(atUTC: end)) + 1
  }

  mutating func instant(
    _ date: CivilDate, _ secondOfDay: Int64, _ occurrence: TimeZoneRules.Occurrence
  ) -> Instant {
    let local = date.localSecond + secondOfDay
    if let constantOffset { return Instant(seconds: local - constantOffset) }
    let reading = Reading(localSecond: local, occurrence: occurrence)
    if let instant = known[reading] { return instant }
    let instant = Instant(seconds: rules.utc(localSecond: local, occurrence))
    known[reading] = instant
    return instant
  }
}
