internal import Metrics
internal import Synchronization

/// What a worker tells swift-metrics of one queue.
final class QueueMetrics: Sendable {
  private struct KindMetrics {
    let started: Counter
    let duration: Timer
    let waited: Timer
    var finished: [String: Counter] = [:]
  }

  private let queue: String
  private let kinds = Mutex<[String: KindMetrics]>([:])
  private let running: Meter
  private let refusals: Counter

  init(queue: String) {
    self.queue = queue
    running = Meter(label: "jobs_running", dimensions: [("queue", queue)])
    refusals = Counter(label: "jobs_acknowledgements_refused_total", dimensions: [("queue", queue)])
  }

  func started(_ job: FetchedJob) {
    running.increment()
    kinds.withLock { kinds in
      let metrics = kinds[job.kind] ?? make(job.kind, &kinds)
      metrics.started.increment()
      metrics.waited.record(duration: job.waited)
    }
  }

  func ended(_ job: FetchedJob, _ outcome: JobOutcome, after duration: Duration) {
    running.decrement()
    kinds.withLock { kinds in
      var metrics = kinds[job.kind] ?? make(job.kind, &kinds)
      metrics.duration.record(duration: duration)
      if let counter = metrics.finished[outcome.label] { return counter.increment() }
      let counter = Counter(
        label: "jobs_finished_total",
        dimensions: [("queue", queue), ("kind", job.kind), ("outcome", outcome.label)])
      counter.increment()
      metrics.finished[outcome.label] = counter
      kinds[job.kind] = metrics
    }
  }

  func refused(_ count: Int) { refusals.increment(by: count) }

  private func make(_ kind: String, _ kinds: inout [String: KindMetrics]) -> KindMetrics {
    let dimensions = [("queue", queue), ("kind", kind)]
    let made = KindMetrics(
      started: Counter(label: "jobs_started_total", dimensions: dimensions),
      duration: Timer(label: "jobs_duration_seconds", dimensions: dimensions),
      waited: Timer(label: "jobs_wait_seconds", dimensions: dimensions))
    kinds[kind] = made
    return made
  }
}

extension JobOutcome {
  fileprivate var label: String {
    switch self {
    case .succeeded, .completed: "succeeded"
    case .failed: "failed"
    case .dead: "dead"
    case .snoozed: "snoozed"
    case .cancelled: "cancelled"
    case .dropped: "lost"
    }
  }
}
