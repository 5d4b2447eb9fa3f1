import Jobs
import ServiceLifecycle
import Synchronization

/// How long jobs waited from when they were added until they began, in microseconds.
final class Waits: Sendable {
  private let waits = Mutex<[Int64]>([])

  func add(_ microseconds: Int64) { waits.withLock { $0.append(microseconds) } }

  func take() -> [Int64] {
    waits.withLock { waits in
      defer { waits = [] }
      return waits
    }
  }
}

/// Adds jobs at a steady rate, as a service does for itself.
struct TimedJobs: Service {
  let jobs: Jobs
  let perSecond: Double

  func run() async throws {
    try await cancelWhenGracefulShutdown {
      let start = ContinuousClock.now
      var count = 0.0
      while (try? await Task.sleep(until: start + .seconds(count / perSecond))) != nil {
        do {
          try await jobs.add(Errand(manner: .timed, milliseconds: 0), tenant: nil)
        } catch is CancellationError {
          return
        }
        count += 1
      }
    }
  }
}

/// Tells of them each second.
struct Teller: Service {
  let waits: Waits

  func run() async {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(1))
        let sorted = waits.take().sorted()
        func percentile(_ share: Double) -> Double {
          sorted.isEmpty ? 0 : Double(sorted[Int(Double(sorted.count - 1) * share)]) / 1000
        }
        say("{\"jobs\":\(sorted.count),\"p50_ms\":\(percentile(0.5)),\"p99_ms\":\(percentile(0.99))}")
      }
    }
  }
}
