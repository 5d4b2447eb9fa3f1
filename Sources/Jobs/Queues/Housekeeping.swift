internal import Logging
internal import Metrics
internal import Postgres

/// What has to be done now and then, by whichever process comes first: history's partitions, and counting.
struct Housekeeping: Sendable {
  let jobs: Jobs

  private static let historyPause = Duration.seconds(3600)
  private static let countPause = Duration.seconds(15)

  func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask {
        await every(Self.historyPause, "keep the history of jobs") { try await jobs.keepHistory() }
      }
      group.addTask {
        let gauges = QueueGauges()
        await every(Self.countPause, "count jobs") { gauges.show(try await jobs.counts()) }
      }
    }
  }

  private func every(_ pause: Duration, _ purpose: String, _ work: () async throws -> Void) async {
    while !Task.isCancelled {
      do {
        try await work()
      } catch {
        if Task.isCancelled { return }
        jobs.logger.warning("cannot \(purpose)", metadata: ["error": "\(error)"])
      }
      // Not all processes in step.
      try? await Task.sleep(for: pause * Double.random(in: 0.8...1.2))
    }
  }
}

/// Shows what was counted. Used by one task.
private final class QueueGauges {
  private var gauges: [String: (jobs: Gauge, oldest: Gauge)] = [:]

  func show(_ counts: [QueueCount]) {
    var unseen = Set(gauges.keys)
    for count in counts {
      let key = "\(count.station) \(count.queue)"
      unseen.remove(key)
      let gauge = gauges[key] ?? make(count, key)
      gauge.jobs.record(count.jobs)
      gauge.oldest.record(count.oldest / .seconds(1))
    }
    for key in unseen {
      gauges[key]?.jobs.record(0)
      gauges[key]?.oldest.record(0)
    }
  }

  private func make(_ count: QueueCount, _ key: String) -> (jobs: Gauge, oldest: Gauge) {
    let dimensions = [("queue", count.queue), ("station", "\(count.station)")]
    let made = (
      Gauge(label: "jobs_waiting", dimensions: dimensions),
      Gauge(label: "jobs_oldest_seconds", dimensions: dimensions)
    )
    gauges[key] = made
    return made
  }
}
