/// What a run of a job came to.
enum JobOutcome: Hashable, Sendable {
  case succeeded
  /// Acknowledged already, in a transaction of the handler's own.
  case completed
  case failed(Failure, retryAfter: Duration)
  case dead(Failure)
  case snoozed(Duration)
  case cancelled
  /// The job was somebody else's before it ended: nobody is told.
  case dropped
}

/// Why a run was told to stop.
enum StopReason: Hashable, Sendable {
  /// Somebody wants the job cancelled.
  case cancelled
  case timeout
  /// The worker shuts down; the job is for another.
  case shutdown
  /// The worker could not say that it lives, so the job is another's by now.
  case lost
}

extension JobOutcome {
  /// What an error thrown by a handler means.
  /// - Parameter stop: why the handler was told to stop, if it was; whatever it throws then is because of that.
  init(
    _ error: any Error, stop: StopReason?, job: FetchedJob, options: JobOptions,
    random: inout some RandomNumberGenerator
  ) {
    switch (stop, error) {
    case (.lost, _), (_, JobError.lost): self = .dropped
    case (.cancelled, _): self = .cancelled
    case (.shutdown, _): self = .snoozed(.zero)
    case (.timeout, _):
      let failure = Failure(code: "TIMEOUT", message: "did not end within \(options.timeout)")
      self = .failed(failure, retryAfter: options.retry.delay(afterFailures: job.failed + 1, using: &random))
    case (_, JobError.permanent(let code, let message)): self = .dead(Failure(code: code, message: message))
    case (_, JobError.retry(let delay, let code, let message)):
      self = .failed(Failure(code: code, message: message), retryAfter: delay)
    case (_, JobError.snooze(let delay)): self = .snoozed(delay)
    default:
      self = .failed(
        Failure(error), retryAfter: options.retry.delay(afterFailures: job.failed + 1, using: &random))
    }
  }
}
