import Synchronization

/// How many more handlers a server may have running, shared by its event loops.
final class HandlerPool: Sendable {
  private let available: Atomic<Int>
  /// What a loop takes at once. Large enough that loops rarely meet here, small enough that what they keep for
  /// themselves is at most a quarter of all.
  let batch: Int

  init(limit: Int, loops: Int) {
    available = Atomic(limit)
    batch = max(1, min(64, limit / (8 * loops)))
  }

  fileprivate func take() -> Int {
    var left = available.load(ordering: .relaxed)
    while left > 0 {
      let taken = min(batch, left)
      let (exchanged, original) = available.weakCompareExchange(
        expected: left, desired: left - taken, ordering: .relaxed)
      if exchanged { return taken }
      left = original
    }
    return 0
  }

  fileprivate func give(_ count: Int) {
    available.add(count, ordering: .relaxed)
  }
}

/// One event loop's part of the pool. Most handlers begin and end on what the loop has, without touching memory
/// that other loops write.
struct HandlerAllowance {
  private let pool: HandlerPool
  private var free = 0

  init(_ pool: HandlerPool) { self.pool = pool }

  /// False when the server runs as many handlers as it may.
  mutating func take() -> Bool {
    if free == 0 { free = pool.take() }
    guard free > 0 else { return false }
    free -= 1
    return true
  }

  mutating func give() {
    free += 1
    // A batch is kept, or a loop at the edge of one would go back and forth. Where a batch is one, nothing is.
    let kept = pool.batch == 1 ? 0 : pool.batch
    if free >= kept + pool.batch {
      free -= pool.batch
      pool.give(pool.batch)
    }
  }
}
