internal import DequeModule

/// What has been heard and not read yet. No I/O.
///
/// Bounded: when it is full everything in it becomes one `missed`, since a reader who has to look things up has no use
/// for the hints before.
struct NotificationBuffer {
  private let limit: Int
  private var events: Deque<PostgresNotifications.Event> = []

  init(limit: Int) {
    precondition(limit > 0, "a buffer holds at least one event")
    self.limit = limit
  }

  mutating func append(_ event: PostgresNotifications.Event) {
    if event == .missed, events.last == .missed { return }
    if events.count < limit { return events.append(event) }
    events.removeAll(keepingCapacity: true)
    // The event that did not fit is among what was missed.
    events.append(.missed)
  }

  mutating func popFirst() -> PostgresNotifications.Event? { events.popFirst() }

  mutating func removeAll() { events.removeAll() }
}
