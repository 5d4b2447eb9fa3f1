internal import NIOCore

/// The statements of one caller that go out together, behind one Sync, as one transaction (or as part of the
/// caller's explicit one). All but `steps` belongs to the connections' thread.
final class Request: Waiter<[StatementResult]>, @unchecked Sendable {
  let steps: [Step]
  /// How many of `steps` were put in front of the caller's: nobody looks at what they return.
  let openingCount: Int
  let deadline: NIODeadline?
  let isLeased: Bool
  /// Whether this ends an explicit transaction: what came before it there is certain to be undone when the
  /// connection is lost, this itself is not.
  let isCommit: Bool

  /// Whether it may be sent a second time when the first may have been carried out.
  var isIdempotent: Bool { !isLeased && steps.allSatisfy(\.isIdempotent) }

  var received: NIODeadline = .distantFuture
  /// How often it has been handed to a connection.
  var attempts = 0
  /// Sent again because a prepared statement had gone stale or missing: so this time without one.
  var avoidsPrepared = false
  /// Those of the caller's own steps.
  var results: [StatementResult] = []
  var error: PostgresError?

  /// As many bits as say which steps are prepared on the way.
  static let mostSteps = 64

  init(
    opening: [Step] = [], _ steps: [Step], deadline: NIODeadline?, isLeased: Bool = false,
    isCommit: Bool = false
  ) {
    let openingCount = opening.count
    let steps = opening.isEmpty ? steps : opening + steps
    precondition(steps.count <= Self.mostSteps, "a batch holds at most \(Self.mostSteps) statements")
    self.steps = steps
    self.openingCount = openingCount
    self.deadline = deadline
    self.isLeased = isLeased
    self.isCommit = isCommit
  }

  /// For metrics and logs: what the caller asked for, not what was put in front of it.
  var name: String { steps.last?.name ?? "Open" }

  func reset() {
    results.removeAll(keepingCapacity: true)
    error = nil
  }
}
