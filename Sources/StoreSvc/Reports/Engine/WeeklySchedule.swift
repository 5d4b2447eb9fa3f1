import TimeZones

/// When a store means to be open, on its own clock. Equal schedules are equal values, so that the 14,000 stores
/// of a tenant share a few hundred of them.
struct WeeklySchedule: Hashable, Sendable {
  /// Ascending. A weekday without any is closed.
  let intervals: [OpenInterval]

  /// A store that never told its hours is open around the clock.
  static let always = WeeklySchedule([])

  init(_ intervals: some Sequence<OpenInterval>) {
    self.intervals = intervals.sorted()
  }

  var isAlwaysOpen: Bool { intervals.isEmpty }
}

/// One opening on one weekday, in seconds of the local clock counted from that day's midnight.
struct OpenInterval: Hashable, Comparable, Sendable {
  /// 0 is Monday.
  let weekday: Int
  /// 0..<86,400.
  let opens: Int64
  /// After `opens`, by at most a day: beyond 86,400 the store closes on the next day.
  let closes: Int64

  /// `start` and `end` as people enter them. A minute or a second before midnight is how forms without 24:00
  /// say midnight; an end at or before the start is on the next day. Nil when out of range.
  init?(weekday: Int, start: Int64, end: Int64) {
    let midnight = CivilDate.secondsPerDay
    guard (0...6).contains(weekday), (0..<midnight).contains(start), (0...midnight).contains(end) else {
      return nil
    }
    self.weekday = weekday
    opens = start
    let saysMidnight = end == midnight - 1 || end == midnight - 60
    let sameDay = saysMidnight ? midnight : end
    closes = sameDay <= start ? sameDay + midnight : sameDay
  }

  static func < (left: OpenInterval, right: OpenInterval) -> Bool {
    (left.weekday, left.opens, left.closes) < (right.weekday, right.opens, right.closes)
  }
}
