internal import Synchronization

/// Makes the ids of traces and spans: those of a process are a permutation of the numbers from a random one on
/// (SplitMix64), so that no two are the same and no system call is made. They are no secrets.
final class TraceIDs: Sendable {
  private let next: Atomic<UInt64>
  private let process: UInt64

  init() {
    next = Atomic(.random(in: .min ... .max))
    process = .random(in: 1 ... .max)
  }

  /// Never 0.
  func spanID() -> UInt64 {
    var id: UInt64 = 0
    while id == 0 {
      var mixed = next.wrappingAdd(0x9e37_79b9_7f4a_7c15, ordering: .relaxed).newValue
      mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
      id = mixed ^ mixed >> 31
    }
    return id
  }

  func traceID() -> TraceContext.ID { TraceContext.ID(high: process, low: spanID()) }
}
