package import Postgres

/// A job that is added again and again, at the times of an expression in a zone.
package struct CronJob: Sendable {
  /// What becomes of times at which no process was there to see them.
  package enum Missed: Sendable, Hashable {
    /// Nothing, once they are a minute past.
    case skip
    /// One job, for the last of them.
    case once
    /// A job each, for the last so many.
    case all(most: Int)
  }

  /// Names it among those of the service, for ever: 1 to 100 characters.
  package let name: String
  package let expression: CronExpression
  /// In the IANA database.
  package let timezone: String
  package let missed: Missed
  let make: @Sendable (PostgresTimestamp) throws -> NewJob

  /// - Parameter make: the job for a time, which is the one it was due at, however late it is added.
  /// - Throws: `CronError`, which says what is wrong with the expression.
  package init(
    _ name: String, _ expression: String, in timezone: String = "UTC", missed: Missed = .once,
    _ make: @escaping @Sendable (PostgresTimestamp) throws -> NewJob
  ) throws(CronError) {
    self.name = name
    self.expression = try CronExpression(expression)
    self.timezone = timezone
    self.missed = missed
    self.make = make
  }
}
