internal import Synchronization

/// The limits this process has declared, so that it does so once and not with every job.
final class KnownLimits: Sendable {
  private let known = Mutex<[String: Limit]>([:])

  private static let most = 10_000

  func isKnown(_ keyed: KeyedLimit) -> Bool { known.withLock { $0[keyed.key] == keyed.limit } }

  func learn(_ keyed: KeyedLimit) {
    known.withLock { known in
      if known.count >= Self.most { known.removeAll() }
      known[keyed.key] = keyed.limit
    }
  }
}
