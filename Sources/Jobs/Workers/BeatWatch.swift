/// Which workers have stood still for the length of a lease, by the watcher's own clock.
struct BeatWatch {
  let lease: Duration
  private var seen: [Int64: (beat: Int64, since: ContinuousClock.Instant)] = [:]
  private var last: ContinuousClock.Instant?

  init(lease: Duration) { self.lease = lease }

  /// Returns those to bury, and at which beat.
  mutating func observe(
    _ workers: [(worker: Int64, beat: Int64)], _ now: ContinuousClock.Instant
  ) -> [(worker: Int64, beat: Int64)] {
    // Whoever could not look for long could not have been heard either: when the database comes back everybody has a
    // whole lease to say so.
    if let last, now - last > lease / 2 { seen = [:] }
    last = now
    var still: [(worker: Int64, beat: Int64)] = []
    var next: [Int64: (beat: Int64, since: ContinuousClock.Instant)] = [:]
    for (worker, beat) in workers {
      if let known = seen[worker], known.beat == beat {
        next[worker] = known
        if now - known.since >= lease { still.append((worker, beat)) }
      } else {
        next[worker] = (beat, now)
      }
    }
    seen = next
    return still
  }
}
