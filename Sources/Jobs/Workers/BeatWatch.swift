/// A worker as those see it who watch.
struct WatchedWorker: Hashable, Sendable {
  var worker: Int64
  var beat: Int64
  /// Its own, whatever that of the watcher is.
  var lease: Duration
}

/// Which workers have stood still for the length of their lease, by the watcher's own clock.
struct BeatWatch {
  private let pause: Duration
  private var seen: [Int64: (worker: WatchedWorker, since: ContinuousClock.Instant)] = [:]
  private var last: ContinuousClock.Instant?

  /// - Parameter pause: between two looks, at most.
  init(pause: Duration) { self.pause = pause }

  /// Until the next look. Four to a lease, whoever's is the shortest: who looks more seldom cannot judge it.
  var untilNext: Duration { min(pause, seen.values.map { $0.worker.lease / 4 }.min() ?? pause) }

  /// Returns those to bury.
  mutating func observe(_ workers: [WatchedWorker], _ now: ContinuousClock.Instant) -> [WatchedWorker] {
    let gap = last.map { now - $0 } ?? .zero
    last = now
    var still: [WatchedWorker] = []
    var next: [Int64: (worker: WatchedWorker, since: ContinuousClock.Instant)] = [:]
    for worker in workers {
      // Whoever could not look for long could not have been heard either: when the database comes back everybody has a
      // whole lease to say so.
      if let known = seen[worker.worker], known.worker == worker, gap <= worker.lease / 2 {
        next[worker.worker] = known
        if now - known.since >= worker.lease { still.append(worker) }
      } else {
        next[worker.worker] = (worker, now)
      }
    }
    seen = next
    return still
  }
}
