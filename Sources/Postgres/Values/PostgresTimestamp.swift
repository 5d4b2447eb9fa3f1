internal import Glibc

/// `timestamptz`: a point in time, in microseconds since 1970-01-01 00:00 UTC.
///
/// Postgres counts from 2000 and so reaches 30 years further than fits here: reading a time after the year
/// 294246 is an error rather than a wrong value.
package struct PostgresTimestamp: Hashable, Sendable {
  package var microseconds: Int64

  package init(microseconds: Int64) { self.microseconds = microseconds }

  /// From the parts of a protobuf Timestamp; nanoseconds below a microsecond are cut off.
  /// Nil when the time does not fit.
  package init?(seconds: Int64, nanoseconds: Int32) {
    let (whole, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000)
    let (sum, overflowsToo) = whole.addingReportingOverflow(Int64(nanoseconds / 1000))
    guard !overflows, !overflowsToo else { return nil }
    microseconds = sum
  }

  /// SQL's `infinity`: later than every time.
  package static let infinity = PostgresTimestamp(microseconds: .max)
  /// SQL's `-infinity`: earlier than every time.
  package static let negativeInfinity = PostgresTimestamp(microseconds: .min)

  /// The time now, of the system's clock.
  package static func now() -> PostgresTimestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return PostgresTimestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
  }

  /// Whole seconds since 1970, rounded down.
  package var seconds: Int64 { microseconds.flooredQuotient(1_000_000) }
  /// What `seconds` leaves, 0..<1,000,000,000.
  package var nanoseconds: Int32 { Int32(microseconds - seconds * 1_000_000) * 1000 }

  /// Microseconds from 1970 to 2000, where Postgres starts to count.
  private static let postgresEpoch: Int64 = 946_684_800_000_000
}

extension PostgresTimestamp: Comparable {
  package static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }
}

extension PostgresTimestamp: PostgresValue {
  package static var postgresType: PostgresType { .timestamptz }

  package func encode(into writer: inout WireWriter) {
    switch self {
    case .infinity, .negativeInfinity: writer.write(microseconds)
    default:
      // A time too early for Postgres' count is sent as the earliest one, which the server refuses (22008).
      let (wire, overflows) = microseconds.subtractingReportingOverflow(Self.postgresEpoch)
      writer.write(overflows ? Int64.min + 1 : wire)
    }
  }

  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresTimestamp {
    let wire = try reader.read(Int64.self)
    guard wire != .max, wire != .min else { return PostgresTimestamp(microseconds: wire) }
    let (microseconds, overflows) = wire.addingReportingOverflow(postgresEpoch)
    guard !overflows, microseconds != .max else { throw WireError("is after the year 294246") }
    return PostgresTimestamp(microseconds: microseconds)
  }
}

extension PostgresTimestamp: CustomStringConvertible {
  /// RFC 3339 in UTC with as many fraction digits as needed; years past 9999 as ISO 8601 writes them.
  package var description: String {
    switch self {
    case .infinity: return "infinity"
    case .negativeInfinity: return "-infinity"
    default: break
    }
    let days = microseconds.flooredQuotient(86_400_000_000)
    let time = PostgresTime(microseconds: microseconds - days * 86_400_000_000)
    return "\(PostgresDate(days: Int32(truncatingIfNeeded: days)))T\(time)Z"
  }
}

extension Int64 {
  /// Division that rounds down, so that times before 1970 fall into the right second and day.
  func flooredQuotient(_ divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
