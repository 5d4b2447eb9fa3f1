internal import DequeModule

/// The principals that have been verified, by their text: verifying one costs a hundred times what finding it here does.
///
/// Holds no more than `capacity`, and drops the oldest for another. Whoever fills it has had as many signed.
struct VerifiedPrincipals {
  let capacity: Int
  private var principals: [String: Principal] = [:]
  /// In the order in which they came.
  private var order: Deque<String> = []

  init(capacity: Int) {
    precondition(capacity > 0, "a cache for nothing")
    self.capacity = capacity
  }

  var count: Int { principals.count }

  /// - Parameter now: seconds since 1970; who has ended by then is not found, and forgotten.
  mutating func find(_ text: String, now: Int64) -> Principal? {
    guard let principal = principals[text] else { return nil }
    if now < principal.expiresAt { return principal }
    principals[text] = nil
    return nil
  }

  mutating func insert(_ principal: Principal, as text: String, now: Int64) {
    // They live about as long as each other: those that have ended are in front.
    while let oldest = order.first, isOver(oldest, now) {
      principals[oldest] = nil
      order.removeFirst()
    }
    if order.count >= capacity { principals[order.removeFirst()] = nil }
    if principals.updateValue(principal, forKey: text) == nil { order.append(text) }
  }

  mutating func removeAll() {
    principals.removeAll()
    order.removeAll()
  }

  private func isOver(_ text: String, _ now: Int64) -> Bool {
    principals[text].map { $0.expiresAt <= now } ?? true
  }
}
