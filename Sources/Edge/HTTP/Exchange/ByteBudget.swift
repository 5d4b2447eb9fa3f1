import Synchronization

/// Bytes that all connections together may make the server hold.
final class ByteBudget: Sendable {
  private let left: Atomic<Int>

  init(_ bytes: Int) { left = Atomic(bytes) }

  var available: Int { left.load(ordering: .relaxed) }

  /// False, and nothing taken, when there are not so many.
  func take(_ count: Int) -> Bool {
    if left.subtract(count, ordering: .relaxed).newValue >= 0 { return true }
    left.add(count, ordering: .relaxed)
    return false
  }

  func give(_ count: Int) { left.add(count, ordering: .relaxed) }
}

/// What one exchange has of the budget. What little every exchange may hold is not counted: most hold no more, and the
/// number of connections bounds it.
struct HeldBytes {
  private let budget: ByteBudget
  private var counted = 0

  static let freeBytes = 16 << 10

  init(_ budget: ByteBudget) { self.budget = budget }

  /// So many are held from now on; false when that is more than there is room for.
  mutating func set(_ count: Int) -> Bool {
    let wanted = count > Self.freeBytes ? count : 0
    guard wanted != counted else { return true }
    if wanted > counted {
      guard budget.take(wanted - counted) else { return false }
    } else {
      budget.give(counted - wanted)
    }
    counted = wanted
    return true
  }
}
