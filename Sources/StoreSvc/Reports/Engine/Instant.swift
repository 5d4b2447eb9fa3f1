import TimeZones

/// A point in time, in microseconds since 1970-01-01T00:00:00Z. Leap seconds do not exist here, as in POSIX
/// and Postgres. The engine counts in these and rounds once, at output.
struct Instant: Hashable, Comparable, Sendable {
  var microseconds: Int64

  init(microseconds: Int64) { self.microseconds = microseconds }
  init(seconds: Int64) { microseconds = seconds * 1_000_000 }

  static func < (left: Instant, right: Instant) -> Bool { left.microseconds < right.microseconds }

  static func - (left: Instant, right: Instant) -> Int64 { left.microseconds - right.microseconds }

  /// The whole second this instant lies in, rounded towards the past.
  var secondsRoundedDown: Int64 { microseconds.flooredDivision(by: 1_000_000) }
}

/// A stretch of time: it holds its start and not its end.
struct TimeRange: Hashable, Sendable {
  var start: Instant
  var end: Instant

  var microseconds: Int64 { end - start }
}
