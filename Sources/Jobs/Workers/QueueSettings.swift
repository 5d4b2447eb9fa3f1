/// How one worker works one queue.
package struct QueueSettings: Sendable, Hashable {
  /// Jobs run at once, at most.
  package var concurrency: Int
  /// Jobs fetched at once, and acknowledgements sent at once, at most.
  package var batch = 500
  /// Limits of the queue as a whole, whoever works it; nil to leave them as they are.
  package var limit: Limit?
  /// How long a job may go unnoticed if nobody tells of it.
  package var poll = Duration.seconds(1)

  package init(concurrency: Int, limit: Limit? = nil) {
    precondition(concurrency > 0, "a queue that runs nothing is one to leave out")
    self.concurrency = concurrency
    self.limit = limit
  }
}

/// How a worker lives.
package struct WorkerSettings: Sendable, Hashable {
  /// A worker that is silent for so long is dead, and its jobs are run again.
  package var lease = Duration.seconds(20) {
    didSet { precondition(Self.leases.contains(lease), "a lease is 100 ms to an hour") }
  }
  /// How long running jobs get to end at shutdown before they are cancelled.
  package var grace = Duration.seconds(15)

  package init() {}

  private static let leases = Duration.milliseconds(100)...Duration.seconds(3600)

  var beat: Duration { lease / 4 }
  /// A worker that has not been heard for so long stops by itself, before others may take it for dead.
  var silence: Duration { lease * 3 / 4 }
}
