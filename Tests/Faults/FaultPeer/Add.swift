import ArgumentParser
import Glibc
import Jobs
import NIOCore
import Postgres
import Synchronization

struct Add: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Adds jobs, and notes outside of the database what was acknowledged.",
    discussion: """
      Each second job is added in a transaction, with a row of the caller's own. A line of the ledger is the id of a job,
      whether there is a row too (row or job), and the microsecond of the acknowledgement by the machine's clock. What
      failed is not tried again. Prints one line of JSON at the end: {"acknowledged":900,"failures":{"unavailable":3}}
      """)

  @OptionGroup var database: Database

  @Option(help: "The ledger: a file to append to.")
  var ledger: String?

  @Option(help: "How many; without it, until standard input ends.")
  var count = Int.max

  @Option(help: "How many a second.")
  var rate = 300.0

  @Option(help: "How many are being added at a time.")
  var callers = 8

  @Flag(help: "All in one transaction.")
  var bulk = false

  @Option(help: "whole, apart, deaf, poison or timed; several take turns.")
  var manner: [Errand.Manner] = [.whole]

  @Option(help: "What each takes.")
  var milliseconds: Int64 = 0

  @Option(help: "Seconds until they may run.")
  var delay: Double?

  func run() async throws {
    let client = try database.client()
    let jobs = Jobs(postgres: client, logger: database.logger)
    // Tells workers elsewhere that there are jobs.
    let telling = Task { await jobs.run() }
    if bulk {
      try await jobs.addAll((0..<count).map { try job($0) })
      say("{\"acknowledged\":\(count),\"failures\":{}}")
    } else {
      try await add(jobs)
    }
    // The last of them may have to be told of still.
    try await Task.sleep(for: .milliseconds(200))
    telling.cancel()
    await telling.value
  }

  private func job(_ number: Int) throws -> NewJob {
    let errand = Errand(manner: manner[number % manner.count], milliseconds: milliseconds)
    var job = try NewJob(errand, tenant: nil)
    if let delay { job.start = .after(.seconds(delay)) }
    return job
  }

  private func add(_ jobs: Jobs) async throws {
    let tally = Tally(count: count)
    let file = ledger.map { open($0, O_WRONLY | O_APPEND | O_CREAT, 0o644) }
    if count == .max {
      Task.detached {
        while getchar() != EOF {}
        tally.end()
      }
    }
    let start = ContinuousClock.now
    await withDiscardingTaskGroup { group in
      for _ in 0..<callers {
        group.addTask {
          while let number = tally.next() {
            try? await Task.sleep(until: start + .seconds(Double(number) / rate))
            await add(number, jobs, tally, file)
          }
        }
      }
    }
    say(tally.line)
  }

  private func add(_ number: Int, _ jobs: Jobs, _ tally: Tally, _ file: Int32?) async {
    do {
      let job = try job(number)
      let hasRow = number.isMultiple(of: 2)
      if hasRow {
        try await jobs.postgres.transaction(tenant: nil) { transaction in
          _ = try await transaction.execute(WriteRow(id: job.id))
          try await jobs.add(job, in: transaction)
        }
      } else {
        try await jobs.add(job)
      }
      let microsecond = NIODeadline.now().uptimeNanoseconds / 1000
      if let file { say("\(job.id) \(hasRow ? "row" : "job") \(microsecond)", to: file) }
      tally.acknowledged()
    } catch {
      tally.failed((error as? PostgresError).map { "\($0.kind)" } ?? "\(type(of: error))")
    }
  }
}

/// What has become of the jobs so far, and which is next.
private final class Tally: Sendable {
  private struct State {
    var count: Int
    var begun = 0
    var acknowledged = 0
    var failures: [String: Int] = [:]
  }

  private let state: Mutex<State>

  init(count: Int) { state = Mutex(State(count: count)) }

  func next() -> Int? {
    state.withLock { state in
      guard state.begun < state.count else { return nil }
      defer { state.begun += 1 }
      return state.begun
    }
  }

  func end() { state.withLock { $0.count = 0 } }
  func acknowledged() { state.withLock { $0.acknowledged += 1 } }
  func failed(_ reason: String) { state.withLock { $0.failures[reason, default: 0] += 1 } }

  var line: String {
    state.withLock { state in
      let failures = state.failures.map { "\"\($0)\":\($1)" }.sorted().joined(separator: ",")
      return "{\"acknowledged\":\(state.acknowledged),\"failures\":{\(failures)}}"
    }
  }
}
