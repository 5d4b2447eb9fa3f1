internal import TimeZones

/// Which times are made up for when a process looks at the clock: the decision alone.
struct CronTicks: Hashable {
  /// In UTC seconds since 1970, ascending.
  var times: [Int64]
  /// The first time that is still to come.
  var following: Int64?

  private static let tolerated: Int64 = 60
  /// Whoever was away for longer finds the latest of its times only.
  private static let mostLookedAt = 100_000

  /// - Parameters:
  ///   - due: the first time that was not seen to.
  ///   - now: not before it.
  init(
    _ expression: CronExpression, in zone: TimeZoneRules, missed: CronJob.Missed, due: Int64, now: Int64
  ) {
    var all = [due]
    var next = expression.next(after: due, in: zone)
    while let time = next, time <= now {
      all.append(time)
      next =
        all.count < Self.mostLookedAt
        ? expression.next(after: time, in: zone) : expression.next(after: now, in: zone)
    }
    following = next
    switch missed {
    case .skip: times = all.suffix(1).filter { now - $0 <= Self.tolerated }
    case .once: times = all.suffix(1)
    case .all(let most): times = all.suffix(most)
    }
  }
}
