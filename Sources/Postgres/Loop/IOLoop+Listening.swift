internal import Logging
internal import NIOCore

/// Everyone who listens, and the one connection they share.
struct Listening {
  var queues: [NotificationQueue] = []
  var connection: Connection?
  var isOpening = false
  /// When to try again.
  var retry: NIODeadline?
  var backoff = Backoff()
  /// Whose LISTEN each request sent and not answered holds; nil for one that nobody waits for.
  var confirming: [NotificationQueue?] = []

  var isBusy: Bool { retry != nil || !(connection?.pipeline.isEmpty ?? true) }
}

/// Notifications. The connection does nothing else, so that no statement holds them up.
extension IOLoop {
  func accept(_ queue: NotificationQueue) {
    guard drained == nil else { return queue.end() }
    listening.queues.append(queue)
    if let connection = listening.connection {
      sendListen(for: queue, on: connection)
    } else {
      openListening()
    }
  }

  func dismiss(_ queue: NotificationQueue) {
    queue.end()
    listening.queues.removeAll { $0 === queue }
    guard let connection = listening.connection else { return }
    if listening.queues.isEmpty {
      listening.connection = nil
      listening.confirming = []
      connection.fail(PostgresError(.connectionLost, "nobody listens any more"))
    } else {
      let unwanted = queue.channels.filter { channel in
        !listening.queues.contains { $0.channels.contains(channel) }
      }
      send(unwanted.sorted().map { "UNLISTEN \($0.quotedIdentifier)" }, for: nil, on: connection)
    }
  }

  private func openListening() {
    guard !listening.isOpening, listening.retry == nil else { return }
    listening.isOpening = true
    open(.listening)
  }

  func openedListening(_ connection: Connection) {
    listening.isOpening = false
    guard !listening.queues.isEmpty else { return }
    listening.connection = connection
    for queue in listening.queues { sendListen(for: queue, on: connection) }
  }

  func openListeningFailed() {
    listening.isOpening = false
    guard !listening.queues.isEmpty else { return }
    listening.retry = now + listening.backoff.next(using: &random)
  }

  private func sendListen(for queue: NotificationQueue, on connection: Connection) {
    send(queue.channels.sorted().map { "LISTEN \($0.quotedIdentifier)" }, for: queue, on: connection)
  }

  private func send(_ statements: [String], for queue: NotificationQueue?, on connection: Connection) {
    guard connection.failure == nil, !statements.isEmpty else { return }
    let steps = statements.map { Step(unprepared: $0, name: "Listen") }
    guard connection.send(Request(steps, deadline: nil), now: now) else { return }
    listening.confirming.append(queue)
    push(connection)
  }

  /// The server has answered a LISTEN: whatever is sent from now on will be heard.
  func completeListen(_ request: Request, on connection: Connection) {
    let queue = listening.confirming.removeFirst()
    if let error = request.error {
      // A standby, for one, refuses to listen.
      return connection.fail(PostgresError(.connectionLost, "cannot listen: \(error.message)"))
    }
    listening.backoff.reset()
    if let queue { tell(queue, .missed) }
  }

  func hear(on connection: Connection) {
    while let (channel, payload) = connection.nextNotification() {
      for queue in listening.queues where queue.channels.contains(channel) {
        tell(queue, .notified(channel: channel, payload: payload))
      }
    }
  }

  private func tell(_ queue: NotificationQueue, _ event: PostgresNotifications.Event) {
    if queue.offer(event) { finished.append(queue) }
  }

  func loseListening() {
    guard let connection = listening.connection, let failure = connection.failure else { return }
    logger.warning("lost the connection for notifications", metadata: ["reason": "\(failure)"])
    listening.connection = nil
    listening.confirming = []
    listening.retry = now + listening.backoff.next(using: &random)
  }

  /// When the connection that listens must be asked whether it still lives: hearing nothing is what it does all day.
  var nextKeepalive: NIODeadline? {
    listening.connection.map { $0.lastProgress + configuration.listenKeepalive }
  }

  func tickListening() {
    if let retry = listening.retry, retry <= now {
      listening.retry = nil
      if !listening.queues.isEmpty { openListening() }
    }
    guard let connection = listening.connection, let nextKeepalive, nextKeepalive <= now else { return }
    if connection.pipeline.isEmpty {
      send(["SELECT 1"], for: nil, on: connection)
    } else {
      connection.fail(PostgresError(.connectionLost, "no answer"))
    }
  }
}
