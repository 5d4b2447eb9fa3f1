package import Postgres

/// A job to be added.
package struct NewJob: Sendable {
  /// When a job is to run.
  package enum Start: Sendable, Hashable {
    case now
    case after(Duration)
    case at(PostgresTimestamp)
  }

  /// At most one job of a kind, and of a tenant, has a key at a time: adding another gives the one there is.
  package struct Unique: Sendable, Hashable {
    /// 1 to 160 characters.
    package var key: String
    /// Let go when the job starts, so that one more can be waiting while it runs; otherwise when it ends. It does not
    /// start before the transactions have ended that were told it has the key. If it is to run again, it has the key
    /// again, unless another has taken it meanwhile.
    package var untilStart: Bool
    /// Held for so long at least, even if the job ends before.
    package var window: Duration

    package init(_ key: String, untilStart: Bool = false, window: Duration = .zero) {
      self.key = key
      self.untilStart = untilStart
      self.window = window
    }
  }

  package var id: UUID
  package let kind: String
  package var queue: String
  package var tenant: UUID?
  package var priority: JobPriority
  package var maxAttempts: Int
  package var start = Start.now
  package var limit: KeyedLimit?
  package var unique: Unique?
  let payload: String

  /// - Parameter tenant: whose it is; nil for the service's own.
  /// - Throws: what the payload throws when encoded.
  package init<Kind: JobKind>(_ job: Kind, tenant: UUID?) throws {
    id = .v7(now: .now())
    kind = Kind.name
    queue = Kind.queue
    self.tenant = tenant
    priority = Kind.options.priority
    maxAttempts = Kind.options.maxAttempts
    payload = try Payload.text(of: job)
  }

  /// Jobs of a tenant share a lane, and lanes take turns.
  var lane: Int16 {
    guard let tenant else { return 0 }
    // Fibonacci hashing: the top bits of the product depend on all of the id's.
    return Int16(((tenant.high ^ tenant.low) &* 0x9E37_79B9_7F4A_7C15) >> 58)
  }

  /// The key under which the database keeps it, so that tenants have keys to themselves.
  var uniqueKey: String? { unique.map { "\(tenant.map { "\($0)" } ?? "")/\($0.key)" } }

  var runAt: PostgresTimestamp? { if case .at(let time) = start { time } else { nil } }
  var delay: PostgresInterval? {
    if case .after(let delay) = start { PostgresInterval(delay) } else { nil }
  }
}

/// What has become of a job that was to be added.
package struct AddedJob: Sendable, Hashable {
  /// The job; if it is not new, the one that had the unique key already.
  package var id: UUID
  package var isNew: Bool
}
