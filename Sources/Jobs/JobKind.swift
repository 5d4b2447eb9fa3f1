/// A kind of work that can be put off until later. A value of it is one job's payload, kept as JSON.
///
/// ```swift
/// struct SendReminder: JobKind {
///   static let name = "send_reminder"
///   static let queue = "reminders"
///   var booking: UUID
/// }
/// ```
///
/// Jobs outlive releases: `name` stays what it is, and what is added to the payload later is optional.
package protocol JobKind: Codable, Sendable {
  /// 1 to 100 characters.
  static var name: String { get }
  /// 1 to 100 characters.
  static var queue: String { get }
  static var options: JobOptions { get }
}

extension JobKind {
  package static var options: JobOptions { JobOptions() }
}

/// What goes first. Within a priority tenants take turns.
package enum JobPriority: Int16, Sendable, CaseIterable {
  case urgent, high, normal, low
}

/// How the jobs of one kind are run.
package struct JobOptions: Sendable, Hashable {
  package var priority = JobPriority.normal
  /// Runs, at most, that may fail before the job is dead: 1 to 1000.
  package var maxAttempts = 10
  /// A run that takes longer is cancelled, and has failed.
  package var timeout = Duration.seconds(300)
  package var retry = RetryPolicy()

  package init() {}
}
