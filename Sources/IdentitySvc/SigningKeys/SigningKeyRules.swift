/// When a signing key signs, when it is shown, and when it is time for another.
///
/// A key signs for 30 days. Its successor is shown a day before it begins to sign, so that everybody who verifies has
/// heard of it by then; and a key is shown for a day after it has ended, which is longer than anything it signed lives.
struct SigningKeyRules: Sendable {
  var life = Duration.days(30)
  var lead = Duration.days(1)
  var linger = Duration.days(1)

  /// What is to be decided about.
  struct Key: Hashable, Sendable {
    var id: String
    var activeFrom: Instant
    var isWithdrawn = false
  }

  /// The one to sign with: the one that began last. One that has signed for too long goes on when there is no other.
  func signer(of keys: [Key], now: Instant) -> Key? {
    keys.filter { !$0.isWithdrawn && $0.activeFrom <= now }.max { Self.isEarlier($0, $1) }
  }

  /// Those to be verified with, the newest first.
  func published(_ keys: [Key], now: Instant) -> [Key] {
    let signer = signer(of: keys, now: now)
    return keys.filter { key in
      guard !key.isWithdrawn else { return false }
      guard let signer, Self.isEarlier(key, signer) else { return true }
      // It ended when the next one began.
      let end = keys.filter { !$0.isWithdrawn && Self.isEarlier(key, $0) }.map(\.activeFrom).min() ?? now
      return end + linger > now
    }.sorted { Self.isEarlier($1, $0) }
  }

  /// When the next key is to begin, if it is time to make it.
  func nextBeginning(after keys: [Key], now: Instant) -> Instant? {
    let standing = keys.filter { !$0.isWithdrawn }
    guard let newest = standing.max(by: { Self.isEarlier($0, $1) }) else { return now }
    let due = newest.activeFrom + life
    guard due - lead <= now else { return nil }
    return max(due, now + lead)
  }

  private static func isEarlier(_ left: Key, _ right: Key) -> Bool {
    (left.activeFrom, left.id) < (right.activeFrom, right.id)
  }
}
