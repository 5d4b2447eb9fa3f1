import Synchronization

/// Stops the retries of a client whose calls mostly fail: a server that is overloaded is not helped by being asked
/// more (gRFC A6, "Throttling Retry Attempts and Hedged RPCs").
///
/// Each failure takes a token and each success gives back a fraction of one; while half of them or more are gone,
/// nothing is attempted again. All loops of a client share it. As long as calls succeed it is only read.
final class RetryThrottle: Sendable {
  private static let unit = 1000
  private let max: Int
  private let gain: Int
  private let thousandths: Atomic<Int>

  init(_ limits: RetryLimits) {
    max = limits.tokens * Self.unit
    gain = Int(limits.tokensPerSuccess * Double(Self.unit))
    thousandths = Atomic(max)
  }

  var isOpen: Bool { thousandths.load(ordering: .relaxed) > max / 2 }

  func succeeded() {
    change(by: gain)
  }

  /// Counts a failure that might be retried; false when it must not.
  func failed() -> Bool {
    change(by: -Self.unit)
    return isOpen
  }

  private func change(by amount: Int) {
    var tokens = thousandths.load(ordering: .relaxed)
    while true {
      let changed = Swift.min(Swift.max(tokens + amount, 0), max)
      guard changed != tokens else { return }
      let exchange = thousandths.weakCompareExchange(
        expected: tokens, desired: changed, ordering: .relaxed)
      if exchange.exchanged { return }
      tokens = exchange.original
    }
  }
}
