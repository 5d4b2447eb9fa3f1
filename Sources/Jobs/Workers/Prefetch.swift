/// How many jobs a worker takes beyond those it can run at once: as many as it gets done in the time of two fetches. So
/// quick jobs come in large batches, and slow ones are left for other workers.
struct Prefetch {
  /// Never more than this.
  let limit: Int
  private(set) var size = 0
  private var perSecond = 0.0
  private var count = 0
  private var since: ContinuousClock.Instant

  /// What a fetch takes, in seconds.
  private var latency = 0.0

  /// So far ahead it looks, in seconds, whatever a fetch takes.
  private static let horizon = 0.02...0.2
  private static let shortestMeasure = Duration.milliseconds(5)

  init(limit: Int, now: ContinuousClock.Instant) {
    self.limit = limit
    since = now
  }

  mutating func finished() { count += 1 }

  /// - Parameter duration: zero if nothing was fetched.
  mutating func answered(after duration: Duration) {
    guard duration > .zero else { return }
    let seconds = duration / .seconds(1)
    latency = latency == 0 ? seconds : latency * 0.8 + seconds * 0.2
  }

  mutating func measure(_ now: ContinuousClock.Instant) {
    let elapsed = now - since
    guard elapsed >= Self.shortestMeasure else { return }
    perSecond = (perSecond + Double(count) / (elapsed / .seconds(1))) / 2
    count = 0
    since = now
    size = min(
      limit, Int(perSecond * min(max(latency * 2, Self.horizon.lowerBound), Self.horizon.upperBound)))
  }
}
