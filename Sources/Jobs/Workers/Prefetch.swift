/// How many jobs a worker takes beyond those it can run at once: as many as it gets done in the time that a fetch and
/// its answer may take. So quick jobs come in large batches, and slow ones are left for other workers.
struct Prefetch {
  /// Never more than this.
  let limit: Int
  private(set) var size = 0
  private var perSecond = 0.0
  private var count = 0
  private var since: ContinuousClock.Instant

  private static let horizon = 0.02
  private static let shortestMeasure = Duration.milliseconds(5)

  init(limit: Int, now: ContinuousClock.Instant) {
    self.limit = limit
    since = now
  }

  mutating func finished() { count += 1 }

  mutating func measure(_ now: ContinuousClock.Instant) {
    let elapsed = now - since
    guard elapsed >= Self.shortestMeasure else { return }
    perSecond = (perSecond + Double(count) / (elapsed / .seconds(1))) / 2
    count = 0
    since = now
    size = min(limit, Int(perSecond * Self.horizon))
  }
}
