internal import TimeZones

extension CronExpression {
  /// The first time after `second`, in UTC seconds since 1970, in a zone. `nil` only where a day like the 29th of February
  /// does not come within 40 years.
  ///
  /// Clocks that change do not change how often something is done:
  /// - What has an hour is done once a day: when clocks skip that time, at the moment they do; when they show it twice,
  ///   the first time.
  /// - What is done every hour follows the time that passes: in an hour that comes twice, twice, and not in one that is
  ///   skipped.
  func next(after second: Int64, in zone: TimeZoneRules) -> Int64? {
    isEveryHour ? nextPassing(after: second, zone) : nextOnTheClock(after: second, zone)
  }

  private static let farthestDays: Int64 = 366 * 40

  /// Times on the clock in their order. What they stand for never goes backwards, so the first that is later is it.
  private func nextOnTheClock(after second: Int64, _ zone: TimeZoneRules) -> Int64? {
    let today = CivilDate(containingLocalSecond: second + zone.offset(atUTC: second))
    // From yesterday: a clock that skips a whole day, as in Apia in 2011, does yesterday's at the end of the gap.
    for offset in -1...Self.farthestDays {
      let day = today + offset
      guard comes(on: day) else { continue }
      var hour = hours.first
      while let h = hour {
        var minute = minutes.first
        while let m = minute {
          let instant: Int64
          switch zone.reading(localSecond: day.localSecond + Int64(h * 3600 + m * 60)) {
          case .once(let only): instant = only
          case .twice(let first, _): instant = first
          case .never(let skippedAt): instant = skippedAt
          }
          if instant > second { return instant }
          minute = minutes.next(from: m + 1)
        }
        hour = hours.next(from: h + 1)
      }
    }
    return nil
  }

  /// Minute by minute as they pass, over days that do not count in one step.
  private func nextPassing(after second: Int64, _ zone: TimeZoneRules) -> Int64? {
    let end = second + Self.farthestDays * CivilDate.secondsPerDay
    var now = second + 1
    while now < end {
      let local = now + zone.offset(atUTC: now)
      let day = CivilDate(containingLocalSecond: local)
      guard comes(on: day) else {
        switch zone.reading(localSecond: (day + 1).localSecond) {
        case .once(let midnight), .twice(let midnight, _), .never(let midnight): now = max(now + 1, midnight)
        }
        continue
      }
      let ofMinute = local - local.flooredDivision(by: 60) * 60
      if ofMinute > 0 {
        now += 60 - ofMinute
        continue
      }
      if minutes.contains(Int((local - day.localSecond) / 60 % 60)) { return now }
      now += 60
    }
    return nil
  }

  private func comes(on day: CivilDate) -> Bool {
    let (_, month, dayOfMonth) = day.components
    guard months.contains(Int(month)) else { return false }
    let isDay = daysOfMonth.contains(Int(dayOfMonth))
    let isWeekday = daysOfWeek.contains((day.weekday + 1) % 7)
    return daysOfMonth.isEverything || daysOfWeek.isEverything ? isDay && isWeekday : isDay || isWeekday
  }
}
