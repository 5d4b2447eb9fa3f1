import MainstreetAPI
import Postgres

/// A poll fit to be stored.
struct NewPoll: Hashable, Sendable {
  var store: UUID
  var at: PostgresTimestamp
  var isActive: Bool

  /// A poll of one store at one instant; there is room for one.
  struct Key: Hashable {
    var store: UUID
    var at: PostgresTimestamp
  }

  var key: Key { Key(store: store, at: at) }

  init(store: UUID, at: PostgresTimestamp, isActive: Bool) {
    self.store = store
    self.at = at
    self.isActive = isActive
  }

  /// Validation has seen that status and timestamp are given.
  init(
    store: UUID, status: PollStatus, timestamp: Timestamp?, now: PostgresTimestamp
  ) throws(PollError) {
    // The year 9999 is where RFC 3339 ends.
    guard let timestamp, (0..<253_402_300_800).contains(timestamp.seconds),
      let at = PostgresTimestamp(seconds: timestamp.seconds, nanoseconds: timestamp.nanos)
    else { throw .badTimestamp }
    guard at.microseconds <= now.microseconds + PollError.toleratedLead else { throw .inFuture }
    self.init(store: store, at: at, isActive: status == .active)
  }
}

/// What the database made of a batch of polls, and so what became of each of them.
struct KnownPolls {
  private var stores: Set<UUID> = []
  /// For each poll written, whether it was new; one that was there already, the same, is not in here.
  private var written: [NewPoll.Key: Bool] = [:]

  init(_ rows: [UpsertPolls.Row]) {
    for row in rows {
      stores.insert(row.store)
      if let at = row.at, let isNew = row.isNew { written[NewPoll.Key(store: row.store, at: at)] = isNew }
    }
  }

  /// The outcome of each poll as if they had been stored one by one; nil where there is no such store.
  ///
  /// The database saw only the last word on each instant. What it held before follows from what it did: nothing if
  /// it inserted, the opposite if it replaced, the same if it did neither.
  func outcomes(of polls: [NewPoll]) -> [PollOutcome?] {
    var last: [NewPoll.Key: Bool] = [:]
    for poll in polls { last[poll.key] = poll.isActive }
    var current: [NewPoll.Key: Bool] = [:]
    for (key, isActive) in last where written[key] != true {
      current[key] = written[key] == nil ? isActive : !isActive
    }
    return polls.map { poll in
      guard stores.contains(poll.store) else { return nil }
      defer { current[poll.key] = poll.isActive }
      guard let before = current[poll.key] else { return .recorded }
      return before == poll.isActive ? .duplicate : .replaced
    }
  }
}
