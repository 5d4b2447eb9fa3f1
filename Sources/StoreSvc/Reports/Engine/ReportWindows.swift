/// The three stretches a report looks back over, all ending at `asOf`, which they do not hold. They are elapsed
/// time: a day is 24 hours even when clocks change.
struct ReportWindows: Hashable, Sendable {
  let asOf: Instant
  let hourStart: Instant
  let dayStart: Instant
  let weekStart: Instant

  init(asOf: Instant) {
    self.asOf = asOf
    hourStart = Instant(microseconds: asOf.microseconds - 3_600_000_000)
    dayStart = Instant(microseconds: asOf.microseconds - 24 * 3_600_000_000)
    weekStart = Instant(microseconds: asOf.microseconds - 168 * 3_600_000_000)
  }
}

/// Time spent within each window, in microseconds.
struct WindowTotals: Hashable, Sendable {
  var hour: Int64 = 0
  var day: Int64 = 0
  var week: Int64 = 0

  /// Adds a range that lies inside the week.
  mutating func add(_ range: TimeRange, in windows: ReportWindows) {
    week += range.microseconds
    if range.end > windows.dayStart { day += range.end - max(range.start, windows.dayStart) }
    if range.end > windows.hourStart { hour += range.end - max(range.start, windows.hourStart) }
  }

  static func + (left: WindowTotals, right: WindowTotals) -> WindowTotals {
    WindowTotals(hour: left.hour + right.hour, day: left.day + right.day, week: left.week + right.week)
  }
}
