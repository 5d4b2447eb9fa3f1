/// A day of the proleptic Gregorian calendar, as the number of days since 1970-01-01.
package struct CivilDate: Hashable, Comparable, Sendable {
  package var daysSinceEpoch: Int64

  package static let secondsPerDay: Int64 = 86_400

  package init(daysSinceEpoch: Int64) { self.daysSinceEpoch = daysSinceEpoch }

  /// The day a wall clock shows when it reads `localSeconds` seconds since 1970-01-01T00:00 on that clock.
  package init(containingLocalSecond localSeconds: Int64) {
    daysSinceEpoch = localSeconds.flooredDivision(by: Self.secondsPerDay)
  }

  /// Counts days with the year beginning in March, so that the leap day is the last of its year
  /// (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
  package init(year: Int64, month: Int64, day: Int64) {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = shiftedYear.flooredDivision(by: 400)
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    daysSinceEpoch = era * 146_097 + dayOfEra - 719_468
  }

  /// The inverse of `init(year:month:day:)`.
  package var components: (year: Int64, month: Int64, day: Int64) {
    let shifted = daysSinceEpoch + 719_468
    let era = shifted.flooredDivision(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  /// 0 is Monday. 1970-01-01 was a Thursday.
  package var weekday: Int {
    let sinceThursday = daysSinceEpoch + 3
    return Int(sinceThursday - sinceThursday.flooredDivision(by: 7) * 7)
  }

  /// Midnight at the start of the day, in seconds of the local clock.
  package var localSecond: Int64 { daysSinceEpoch * Self.secondsPerDay }

  package static func < (left: CivilDate, right: CivilDate) -> Bool {
    left.daysSinceEpoch < right.daysSinceEpoch
  }
  package static func + (date: CivilDate, days: Int64) -> CivilDate {
    CivilDate(daysSinceEpoch: date.daysSinceEpoch + days)
  }
}

extension Int64 {
  /// Division that rounds towards minus infinity, so that the day before 1970 is -1 and not 0.
  package func flooredDivision(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
