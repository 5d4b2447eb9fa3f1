/// `date`: days since 1970-01-01 in the proleptic Gregorian calendar.
package struct PostgresDate: Hashable, Sendable {
  package var days: Int32

  package init(days: Int32) { self.days = days }

  package static let infinity = PostgresDate(days: .max)
  package static let negativeInfinity = PostgresDate(days: .min)

  /// Days from 1970 to 2000, where Postgres starts to count.
  private static let postgresEpoch: Int32 = 10_957
}

extension PostgresDate: Comparable {
  package static func < (left: Self, right: Self) -> Bool { left.days < right.days }
}

extension PostgresDate: PostgresValue {
  package static var postgresType: PostgresType { .date }

  package func encode(into writer: inout WireWriter) {
    switch self {
    case .infinity, .negativeInfinity: writer.write(days)
    default:
      let (wire, overflows) = days.subtractingReportingOverflow(Self.postgresEpoch)
      writer.write(overflows ? Int32.min + 1 : wire)
    }
  }

  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresDate {
    let wire = try reader.read(Int32.self)
    guard wire != .max, wire != .min else { return PostgresDate(days: wire) }
    let (days, overflows) = wire.addingReportingOverflow(postgresEpoch)
    guard !overflows else { throw WireError("is out of range") }
    return PostgresDate(days: days)
  }
}

extension PostgresDate: CustomStringConvertible {
  /// `2023-01-25`. The arithmetic is "days to civil" of Hinnant's chrono-compatible date algorithms: an
  /// era is 400 years, and a year starts in March so that the leap day comes last.
  package var description: String {
    switch self {
    case .infinity: return "infinity"
    case .negativeInfinity: return "-infinity"
    default: break
    }
    let shifted = Int64(days) + 719_468
    let era = shifted.flooredQuotient(146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let sign = year < 0 ? "-" : year > 9999 ? "+" : ""
    return "\(sign)\(padded(year.magnitude, 4))-\(padded(month, 2))-\(padded(day, 2))"
  }
}

/// `time` without zone: microseconds since midnight, 0...86,400,000,000 (24:00 is a time to Postgres).
package struct PostgresTime: Hashable, Sendable, Comparable {
  package var microseconds: Int64

  package init(microseconds: Int64) { self.microseconds = microseconds }

  package static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }
}

extension PostgresTime: PostgresValue {
  package static var postgresType: PostgresType { .time }
  package func encode(into writer: inout WireWriter) { writer.write(microseconds) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresTime {
    let microseconds = try reader.read(Int64.self)
    guard 0...86_400_000_000 ~= microseconds else { throw WireError("is out of range") }
    return PostgresTime(microseconds: microseconds)
  }
}

extension PostgresTime: CustomStringConvertible {
  /// `18:13:22.47922`: as many fraction digits as needed.
  package var description: String {
    let seconds = microseconds / 1_000_000
    var text = "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
    let fraction = microseconds % 1_000_000
    if fraction > 0 {
      var digits = padded(fraction, 6)
      while digits.hasSuffix("0") { digits.removeLast() }
      text += "." + digits
    }
    return text
  }
}

/// `interval`: three parts that do not convert into each other, since months and days vary in length.
package struct PostgresInterval: PostgresValue, Hashable {
  package var months: Int32
  package var days: Int32
  package var microseconds: Int64

  package init(months: Int32 = 0, days: Int32 = 0, microseconds: Int64 = 0) {
    self.months = months
    self.days = days
    self.microseconds = microseconds
  }

  package static var postgresType: PostgresType { .interval }

  package func encode(into writer: inout WireWriter) {
    writer.write(microseconds)
    writer.write(days)
    writer.write(months)
  }

  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresInterval {
    let microseconds = try reader.read(Int64.self)
    let days = try reader.read(Int32.self)
    return PostgresInterval(months: try reader.read(), days: days, microseconds: microseconds)
  }
}

private func padded(_ number: some BinaryInteger, _ width: Int) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
