import ArgumentParser
import CoreMetrics
import Jobs
import Logging
import NIOCore
import Postgres
import ServiceKit

/// Adds jobs: in bulk, one by one from many callers, or now and then one.
struct Add: AsyncParsableCommand {
  @OptionGroup var connecting: Connecting
  @Option(help: "Jobs.") var jobs = 100_000
  @Option(help: "Jobs added at once.") var batch = 1000
  @Option(help: "Callers at a time.") var callers = 2
  @Option(help: "Milliseconds between one job and the next, at least; half as much again at most.") var pause:
    Int?
  @Option(help: "Days until they are due; otherwise now.") var days: Int?

  func run() async throws {
    MetricsSystem.bootstrap(MetricsRegistry())
    let client = try connecting.client()
    let queue = Jobs(postgres: client, logger: Logger(label: "bench"))
    try await serving([client, queue]) {
      // So that connecting is no part of it.
      try await client.ping()
      let (began, cpuBefore) = (NIODeadline.now(), cpuSeconds())
      if let pause {
        try await addNowAndThen(to: queue, pause: .milliseconds(pause))
      } else {
        try await addAll(to: queue)
      }
      print(
        """
        {"began": \(began.seconds), "ended": \(NIODeadline.now().seconds), "cpu_seconds": \(cpuSeconds() - cpuBefore)}
        """)
    }
  }

  private func addAll(to queue: Jobs) async throws {
    let (jobs, batch, callers) = (jobs, batch, callers)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for caller in 0..<callers {
        group.addTask {
          for first in stride(from: caller * batch, to: jobs, by: callers * batch) {
            let count = min(batch, jobs - first)
            if count == 1 {
              try await queue.add(new())
            } else {
              try await queue.addAll((0..<count).map { _ in try new() })
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }

  private func addNowAndThen(to queue: Jobs, pause: Duration) async throws {
    for _ in 0..<jobs {
      try await queue.add(new())
      try await Task.sleep(for: pause * Double.random(in: 1...1.5))
    }
  }

  private func new() throws -> NewJob {
    var job = try NewJob(Noop(added: NIODeadline.now().uptimeNanoseconds), tenant: nil)
    if let days { job.start = .after(.seconds(days * 86_400)) }
    return job
  }
}
