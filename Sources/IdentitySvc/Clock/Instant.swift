/// A point in time, in microseconds since 1970-01-01 00:00 UTC, for decisions, which know no database.
struct Instant: Hashable, Sendable, Comparable {
  var microseconds: Int64

  static func < (left: Instant, right: Instant) -> Bool { left.microseconds < right.microseconds }

  static func + (instant: Instant, duration: Duration) -> Instant {
    Instant(microseconds: instant.microseconds + duration.wholeMicroseconds)
  }

  static func - (instant: Instant, duration: Duration) -> Instant {
    Instant(microseconds: instant.microseconds - duration.wholeMicroseconds)
  }

  static func - (later: Instant, earlier: Instant) -> Duration {
    .microseconds(later.microseconds - earlier.microseconds)
  }

  /// Whole seconds since 1970, rounded down.
  var seconds: Int64 {
    let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    return remainder < 0 ? quotient - 1 : quotient
  }
}

extension Duration {
  var wholeMicroseconds: Int64 {
    components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
  }

  static func minutes(_ count: Int64) -> Duration { .seconds(60 * count) }
  static func hours(_ count: Int64) -> Duration { .seconds(3600 * count) }
  static func days(_ count: Int64) -> Duration { .seconds(86_400 * count) }
}
