internal import DequeModule
internal import NIOCore

/// Who has which of the leased connections, and who waits. No I/O.
///
/// First come, first served; connections are opened only when someone waits, and the one used last is used next.
struct LeasePool<Waiter, Connection: AnyObject> {
  enum Action {
    case none
    case grant(Waiter, Connection)
    case refuse(Waiter)
    /// Open a connection and report `opened` or `openFailed`.
    case open
  }

  private struct Place {
    let waiter: Waiter
    let since: NIODeadline
    let expiry: NIODeadline
  }

  private let capacity: Int
  private let queueLimit: Int
  private var places: Deque<Place> = []
  private var idle: [Connection] = []
  private var leased = 0
  /// Being opened, or to be opened again after a pause.
  private var opening = 0

  init(capacity: Int, queueLimit: Int) {
    self.capacity = capacity
    self.queueLimit = queueLimit
  }

  var waiting: Int { places.count }
  var inUse: Int { leased }
  /// Whether waiting is for a turn rather than for the database.
  var hasConnections: Bool { leased + idle.count > 0 }

  mutating func acquire(_ waiter: Waiter, since: NIODeadline, expiry: NIODeadline) -> Action {
    if let connection = idle.popLast() {
      leased += 1
      return .grant(waiter, connection)
    }
    guard places.count < queueLimit else { return .refuse(waiter) }
    places.append(Place(waiter: waiter, since: since, expiry: expiry))
    return openIfWanted()
  }

  mutating func release(_ connection: Connection) -> Action {
    leased -= 1
    return hand(connection)
  }

  /// A leased connection was closed instead of being given back.
  mutating func discarded() -> Action {
    leased -= 1
    return openIfWanted()
  }

  mutating func opened(_ connection: Connection) -> Action {
    opening -= 1
    return hand(connection)
  }

  /// Returns whether anybody still waits, so that it is worth trying again after a pause; if so, that attempt
  /// counts as begun.
  mutating func openFailed() -> Bool {
    opening -= 1
    guard places.count > opening else { return false }
    opening += 1
    return true
  }

  /// An idle connection was closed by the server.
  mutating func lost(_ connection: Connection) {
    idle.removeAll { $0 === connection }
  }

  /// None of the idle connections is to be used any more.
  mutating func removeIdle() -> [Connection] {
    defer { idle = [] }
    return idle
  }

  /// Takes out everyone who has waited long enough.
  /// - Parameter unavailableBefore: with no connection at all, those who came before this wait no longer.
  mutating func expire(
    now: NIODeadline, unavailableBefore: NIODeadline
  ) -> [(waiter: Waiter, isUnavailable: Bool)] {
    guard !places.isEmpty else { return [] }
    var expired: [(waiter: Waiter, isUnavailable: Bool)] = []
    let hasConnections = hasConnections
    places.removeAll { place in
      let isUnavailable = !hasConnections && place.since <= unavailableBefore
      guard isUnavailable || place.expiry <= now else { return false }
      expired.append((place.waiter, isUnavailable))
      return true
    }
    return expired
  }

  mutating func removeAll() -> (waiters: [Waiter], idle: [Connection]) {
    defer { (places, idle) = ([], []) }
    return (places.map(\.waiter), idle)
  }

  private mutating func hand(_ connection: Connection) -> Action {
    guard let place = places.popFirst() else {
      idle.append(connection)
      return .none
    }
    leased += 1
    return .grant(place.waiter, connection)
  }

  private mutating func openIfWanted() -> Action {
    guard places.count > opening, leased + idle.count + opening < capacity else { return .none }
    opening += 1
    return .open
  }
}
