internal import Postgres

/// A queue as the database knows it.
package struct QueueStatus: Sendable, Hashable {
  package var name: String
  package var isPaused = false
  /// Of the queue as a whole.
  package var limit = Limit()
  /// Of stations where there are any.
  package var counts: [QueueCount] = []

  package init(name: String) { self.name = name }
}

extension Jobs {
  /// All queues that hold jobs, or of which something was said, by name.
  package func queues() async throws -> [QueueStatus] {
    let (known, counts) = try await postgres.executeBatch(
      ListQueues(), CountJobs(mostPages: Self.mostPagesCounted), tenant: nil)
    var queues = Dictionary(known.map { ($0.name, $0) }) { first, _ in first }
    for count in counts {
      guard let count else { continue }
      queues[count.queue, default: QueueStatus(name: count.queue)].counts.append(count)
    }
    return queues.values.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }
}

/// See jobs_queues_said.
struct ListQueues: Statement {
  static let name = "ListQueues"
  static let sql = "SELECT queue, is_paused, max_running, rate, burst FROM jobs_queues_said()"
  static let isIdempotent = true

  static func decode(_ row: inout RowReader) throws -> QueueStatus {
    var queue = QueueStatus(name: try row.next())
    queue.isPaused = try row.next()
    queue.limit.running = try row.next(Int32?.self).map { Int($0) }
    let perSecond = try row.next(Double?.self)
    let burst = try row.next(Double?.self)
    if let perSecond, let burst { queue.limit.rate = Limit.Rate(perSecond: perSecond, burst: burst) }
    return queue
  }
}
