/// What a handler throws to say how its failure is to be taken. Any other error may pass, and the job is tried again.
package enum JobError: Error, Hashable, Sendable {
  /// Trying again will not help: the job is dead.
  /// - Parameter code: what failures are grouped by, such as `CARD_EXPIRED`.
  case permanent(code: String, message: String)
  /// Failed; to be tried again after so long, whatever the kind's policy says.
  case retry(after: Duration, code: String = "RETRY", message: String)
  /// Not failed, only too early: run again after so long.
  case snooze(for: Duration)
  /// The job is not this worker's any more: it was silent for too long, and another has the job now. Whatever the
  /// transaction was to do is somebody else's to do.
  case lost
}
