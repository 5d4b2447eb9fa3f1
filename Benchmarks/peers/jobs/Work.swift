import ArgumentParser
import CoreMetrics
import Foundation
import Jobs
import Logging
import NIOCore
import Postgres
import ServiceKit
import Synchronization

/// Runs jobs: one, after which it says that it is ready, and then so many. It ends when all are acknowledged.
struct Work: AsyncParsableCommand {
  @OptionGroup var connecting: Connecting
  @Option(help: "Jobs.") var jobs = 100_000
  @Option(help: "Jobs run at once.") var concurrency = 16
  @Option(help: "Jobs fetched at once, at most.") var batch = 500
  @Option(help: "Seconds after which whatever is missing has been lost.") var patience = 120

  func run() async throws {
    let fetches = StatementTimes(of: "FetchJobs")
    MetricsSystem.bootstrap(MultiplexMetricsHandler(factories: [MetricsRegistry(), fetches]))
    let client = try connecting.client()
    let queue = Jobs(postgres: client, logger: Logger(label: "bench"))
    let tally = Tally(of: jobs)
    var settings = QueueSettings(concurrency: concurrency)
    settings.batch = batch
    let handler = JobHandler.on(Noop.self) { job, _ in tally.note(added: job.added) }
    let worker = JobWorker(jobs: queue, queues: [Noop.queue: settings], handlers: [handler])
    let cpuBefore = Mutex(0.0)
    try await serving([client, queue, worker]) {
      for await event in tally.events {
        switch event {
        case .ready:
          _ = fetches.take()
          cpuBefore.withLock { $0 = cpuSeconds() }
          print("ready")
          // Read through a pipe, at once.
          fflush(nil)
        case .done: return
        }
      }
    }
    let ended = NIODeadline.now()
    let cpu = cpuSeconds() - cpuBefore.withLock { $0 }
    let waits = tally.waits.sorted()
    let fetched = fetches.take().sorted()
    print(
      """
      {"ended": \(ended.seconds), "cpu_seconds": \(cpu), "jobs": \(waits.count), \
      "p50_ms": \(percentile(0.5, of: waits)), "p99_ms": \(percentile(0.99, of: waits)), \
      "fetches": \(fetched.count), "fetch_p50_ms": \(percentile(0.5, of: fetched)), \
      "fetch_p99_ms": \(percentile(0.99, of: fetched))}
      """)
  }
}

/// How long each job had waited when it began, in nanoseconds.
final class Tally: Sendable {
  enum Event { case ready, done }

  let events: AsyncStream<Event>
  private let teller: AsyncStream<Event>.Continuation
  private let state: Mutex<(seen: Int, waits: [Int64])>
  private let most: Int

  init(of most: Int) {
    self.most = most
    (events, teller) = AsyncStream.makeStream()
    var waits: [Int64] = []
    waits.reserveCapacity(most)
    state = Mutex((0, waits))
  }

  var waits: [Int64] { state.withLock { $0.waits } }

  func note(added: UInt64) {
    let wait = Int64(NIODeadline.now().uptimeNanoseconds) - Int64(added)
    let seen = state.withLock { state in
      state.seen += 1
      if state.seen > 1 { state.waits.append(wait) }
      return state.seen
    }
    if seen == 1 { teller.yield(.ready) }
    if seen == most + 1 { teller.yield(.done) }
  }
}

/// Every single duration of one statement, where a registry keeps histograms.
final class StatementTimes: MetricsFactory, TimerHandler {
  private let statement: String
  private let times = Mutex<[Int64]>([])

  init(of statement: String) { self.statement = statement }

  func take() -> [Int64] {
    times.withLock { times in
      defer { times = [] }
      return times
    }
  }

  func recordNanoseconds(_ duration: Int64) { times.withLock { $0.append(duration) } }

  func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    let isWanted = label == "postgres_statement_duration_seconds" && dimensions.contains { $0.1 == statement }
    return isWanted ? self : NOOPMetricsHandler.instance
  }
  func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    NOOPMetricsHandler.instance
  }
  func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
    NOOPMetricsHandler.instance
  }
  func destroyCounter(_ handler: any CounterHandler) {}
  func destroyRecorder(_ handler: any RecorderHandler) {}
  func destroyTimer(_ handler: any TimerHandler) {}
}
