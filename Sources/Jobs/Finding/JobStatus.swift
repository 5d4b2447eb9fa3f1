package import Postgres

/// Where a job is. See the tables of the migration.
package enum JobStation: String, Sendable, Hashable {
  case scheduled, ready, blocked, running, succeeded, dead, cancelled

  /// Whether it has ended.
  package var isFinal: Bool { self == .succeeded || self == .dead || self == .cancelled }
}

/// How a job fares.
package struct JobStatus: Sendable {
  package var station: JobStation
  package var queue: String
  package var kind: String
  package var tenant: UUID?
  /// How often it has been begun.
  package var attempt: Int
  package var createdAt: PostgresTimestamp
  /// When it is to run, or became ready; of jobs in those stations only.
  package var runAt: PostgresTimestamp?
  package var startedAt: PostgresTimestamp?
  package var finishedAt: PostgresTimestamp?
  /// 0 to 1, as its handler reported.
  package var progress: Double
  package var isCancelRequested: Bool
  /// The last ten, the newest last.
  package var failures: [FailedRun]
}
