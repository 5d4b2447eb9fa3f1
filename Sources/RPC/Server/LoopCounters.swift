import Synchronization

/// Counters that one event loop adds to and any thread may read. Having one writer, an addition is a load and a
/// store, without the locked instruction that counters shared between writers need; so counting costs a call
/// next to nothing, and a loop that is stuck can still be read.
struct LoopCounters: ~Copyable, @unchecked Sendable {
  private let values: UnsafeMutableBufferPointer<Atomic<Int>>

  init(count: Int) {
    values = .allocate(capacity: count)
    for index in 0..<count { values.initializeElement(at: index, to: Atomic(0)) }
  }

  deinit {
    values.deinitialize()
    values.deallocate()
  }

  /// On the loop only.
  func add(_ amount: Int, at index: Int) {
    values[index].store(values[index].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }

  subscript(index: Int) -> Int { values[index].load(ordering: .relaxed) }
}
