internal import Postgres

/// What is to be told of jobs that have ended, gathered until it is sent.
struct Acknowledgements {
  private(set) var finished: [UUID] = []
  private(set) var attempts: [Int32] = []
  private(set) var settlements: [Settlement] = []
  /// How many jobs with each key have ended.
  private(set) var limitKeys: [String: Int] = [:]
  /// When the first of them came.
  private(set) var since: ContinuousClock.Instant?
  /// Sent before, over a connection that broke: what is refused may be what had come through.
  private(set) var isRepeated = false

  var count: Int { finished.count + settlements.count }
  var jobs: [UUID] { finished + settlements.map(\.job) }
  var isEmpty: Bool { finished.isEmpty && settlements.isEmpty && limitKeys.isEmpty }

  mutating func add(_ job: FetchedJob, _ outcome: JobOutcome, _ now: ContinuousClock.Instant) {
    switch outcome {
    case .dropped: return
    case .completed: break
    case .succeeded:
      finished.append(job.id)
      attempts.append(job.attempt)
    case .failed(let failure, let delay): settle(job, .retry, delay, failure)
    case .dead(let failure): settle(job, .dead, .zero, failure)
    case .snoozed(let delay): settle(job, .snooze, delay)
    case .cancelled: settle(job, .cancel)
    }
    if let key = job.limitKey { limitKeys[key, default: 0] += 1 }
    if since == nil, !isEmpty { since = now }
  }

  private mutating func settle(
    _ job: FetchedJob, _ outcome: Settlement.Outcome, _ delay: Duration = .zero, _ failure: Failure? = nil
  ) {
    settlements.append(
      Settlement(
        job: job.id, attempt: job.attempt, outcome: outcome, delay: delay, failure: failure?.json))
  }

  /// All there is, to be sent.
  mutating func take() -> Acknowledgements {
    defer { self = Acknowledgements() }
    return self
  }

  /// Takes back what could not be sent.
  mutating func restore(_ earlier: Acknowledgements) {
    finished = earlier.finished + finished
    attempts = earlier.attempts + attempts
    settlements = earlier.settlements + settlements
    limitKeys.merge(earlier.limitKeys, uniquingKeysWith: +)
    since = earlier.since ?? since
    isRepeated = true
  }
}
