internal import Synchronization

/// The limits this process has declared, so that it does so now and then and not with every job: the database forgets
/// those that nobody has declared for two days; see jobs_keep_history.
final class KnownLimits: Sendable {
  private let known = Mutex<[String: (limit: Limit, until: ContinuousClock.Instant)]>([:])

  private static let most = 10_000
  static let longest = Duration.seconds(6 * 3600)

  func isKnown(_ keyed: KeyedLimit, _ now: ContinuousClock.Instant) -> Bool {
    known.withLock { known in
      guard let known = known[keyed.key] else { return false }
      return known.limit == keyed.limit && now < known.until
    }
  }

  /// - Parameter now: from before it was declared.
  func learn(_ keyed: KeyedLimit, _ now: ContinuousClock.Instant) {
    known.withLock { known in
      if known.count >= Self.most { known.removeAll() }
      known[keyed.key] = (keyed.limit, now + Self.longest)
    }
  }
}
