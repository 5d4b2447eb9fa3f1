internal import Postgres

extension Jobs {
  /// Begins no more jobs of the queue, anywhere, until it is resumed. What runs, runs on.
  package func pause(_ queue: String) async throws {
    _ = try await postgres.execute(PauseQueue(queue: queue, isPaused: true), tenant: nil)
  }

  package func resume(_ queue: String) async throws {
    _ = try await postgres.execute(PauseQueue(queue: queue, isPaused: false), tenant: nil)
    wake([queue])
  }

  /// Limits a queue as a whole, whoever works it.
  package func limit(_ queue: String, _ limit: Limit) async throws {
    _ = try await postgres.execute(DeclareQueueLimit(queue: queue, limit: limit), tenant: nil)
    wake([queue])
  }
}

struct PauseQueue: Statement {
  static let name = "PauseQueue"
  static let sql = "SELECT jobs_pause($1, $2)"
  static let isIdempotent = true
  var queue: String
  var isPaused: Bool

  func bind(into bindings: inout Bindings) {
    bindings.append(queue)
    bindings.append(isPaused)
  }
}
