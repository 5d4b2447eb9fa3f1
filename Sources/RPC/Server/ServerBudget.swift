import Synchronization

/// What a server has of something to give to calls, such as running handlers or bytes, shared by its event loops.
final class ServerBudget: Sendable {
  private let available: Atomic<Int>
  /// What a loop takes at once. Large enough that loops rarely meet here, small enough that what they keep for
  /// themselves is at most a quarter of all.
  let batch: Int

  init(limit: Int, loops: Int, maxBatch: Int) {
    available = Atomic(limit)
    batch = max(1, min(maxBatch, limit / (8 * loops)))
  }

  fileprivate var left: Int { available.load(ordering: .relaxed) }

  /// A batch, or what is wanted if that is more; nothing if that is not there.
  fileprivate func take(_ wanted: Int) -> Int {
    var left = left
    while left >= wanted {
      let taken = min(max(batch, wanted), left)
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

/// One event loop's part of a budget. Most calls begin and end on what the loop has, without touching memory that
/// other loops write.
struct LoopBudget {
  private let server: ServerBudget
  private var free = 0

  init(_ server: ServerBudget) { self.server = server }

  /// What the loop could still take.
  var left: Int { free + server.left }

  /// False when the server has given all there is.
  mutating func take(_ count: Int = 1) -> Bool {
    if free < count { free += server.take(count - free) }
    guard free >= count else { return false }
    free -= count
    return true
  }

  mutating func give(_ count: Int = 1) {
    free += count
    // A batch is kept, or a loop at the edge of one would go back and forth. Where a batch is one, nothing is.
    let kept = server.batch == 1 ? 0 : server.batch
    if free >= kept + server.batch {
      server.give(free - kept)
      free = kept
    }
  }
}
