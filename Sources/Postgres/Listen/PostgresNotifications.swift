extension PostgresClient {
  /// Listens to these channels until the sequence and its iterators are gone, the task that reads them is cancelled,
  /// or the client is shut down.
  ///
  /// All listeners of a client share one connection, apart from those that run statements. It is opened again for as
  /// long as it takes, by itself.
  /// - Parameter channels: 1 to 64 names, of 63 bytes at most.
  package func listen(to channels: [String]) throws(PostgresError) -> PostgresNotifications {
    guard 1...Request.mostSteps ~= channels.count else {
      throw PostgresError(.misuse, "\(channels.count) channels, not 1 to \(Request.mostSteps)")
    }
    for channel in channels where !(1...63 ~= channel.utf8.count) || channel.utf8.contains(0) {
      // LISTEN would cut it short, and hear of something else.
      throw PostgresError(.misuse, "no name for a channel: \"\(channel)\"")
    }
    let queue = NotificationQueue(channels: Set(channels), limit: configuration.notificationLimit)
    loop.submit(.listen(queue))
    return PostgresNotifications(subscription: Subscription(queue: queue, loop: loop))
  }
}

/// What is heard on some channels. For one reader at a time.
package struct PostgresNotifications: AsyncSequence, Sendable {
  package enum Event: Hashable, Sendable {
    case notified(channel: String, payload: String)
    /// There may have been notifications that nobody heard: comes first of all, after every reconnect, and in place of
    /// what a slow reader left lying. Whatever they would have told must be looked up now.
    case missed
  }

  package typealias Element = Event

  fileprivate let subscription: Subscription

  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: subscription) }

  package struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let subscription: Subscription

    package mutating func next() async -> Event? { await subscription.queue.next() }
  }
}

/// Ends the listening when nobody can read it any more.
private final class Subscription: Sendable {
  let queue: NotificationQueue
  private let loop: IOLoop

  init(queue: NotificationQueue, loop: IOLoop) {
    self.queue = queue
    self.loop = loop
  }

  deinit { loop.submit(.unlisten(queue)) }
}
