package import Postgres

/// A job that failed for good, and waits for somebody to decide.
package struct DeadJob: Sendable, Hashable {
  package var id: UUID
  package var queue: String
  package var kind: String
  package var tenant: UUID?
  /// How often it was begun.
  package var attempts: Int
  package var createdAt: PostgresTimestamp
  package var diedAt: PostgresTimestamp
  /// Of its last failure.
  package var errorCode: String
  /// How often it has been tried again since.
  package var redrives: Int
  package var payload: PostgresJSON
  /// See `JobStatus.failures`.
  package var failures: [FailedRun]

  package var place: DeadJobPlace { DeadJobPlace(diedAt: diedAt, id: id) }
}

/// Where a dead job is among the others, which are in the order in which they died.
package struct DeadJobPlace: Sendable, Hashable {
  package var diedAt: PostgresTimestamp
  package var id: UUID

  package init(diedAt: PostgresTimestamp, id: UUID) {
    self.diedAt = diedAt
    self.id = id
  }
}

/// Dead jobs of one kind that failed alike.
package struct DeadJobGroup: Sendable, Hashable {
  package var kind: String
  package var errorCode: String
  package var jobs: Int
  package var firstDiedAt: PostgresTimestamp
  package var lastDiedAt: PostgresTimestamp
}

/// Which dead jobs are meant: those to which all applies that is said.
package struct DeadJobFilter: Sendable, Hashable {
  package var ids: [UUID]?
  package var kind: String?
  package var errorCode: String?
  package var tenant: UUID?
  package var diedFrom: PostgresTimestamp?
  /// Not including it.
  package var diedBefore: PostgresTimestamp?

  package init() {}
}
