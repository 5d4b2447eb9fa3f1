internal import FoundationEssentials

/// What the calendar says, as opposed to the loops' monotonic time.
enum WallClock {
  /// To a microsecond or so.
  static var now: Moments.Instant {
    let now = Date().timeIntervalSince1970
    let seconds = now.rounded(.down)
    return Moments.Instant(seconds: Int64(seconds), nanos: Int32((now - seconds) * 1e9))
  }
}
