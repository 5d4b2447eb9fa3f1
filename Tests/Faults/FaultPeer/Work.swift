import ArgumentParser
import Glibc
import Jobs
import Logging
import NIOCore
import Postgres
import ServiceLifecycle
import UnixSignals

struct Work: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Works the queue until SIGTERM.",
    discussion: """
      With --adding, prints a line of JSON a second about how long those it added waited:
      {"jobs":301,"p50_ms":1.21,"p99_ms":4.93}
      """)

  @OptionGroup var database: Database

  @Option(help: "Jobs run at once.")
  var concurrency = 8

  @Option(help: "Seconds of silence after which a worker is dead.")
  var lease = 2.0

  @Option(help: "Jobs to add by itself, a second.")
  var adding: Double?

  func run() async throws {
    let client = try database.client()
    let jobs = Jobs(postgres: client, logger: database.logger)
    var settings = WorkerSettings()
    settings.lease = .seconds(lease)
    settings.grace = .seconds(5)
    let waits = Waits()
    let worker = JobWorker(
      jobs: jobs, queues: [Errand.queue: QueueSettings(concurrency: concurrency)],
      handlers: [.on(Errand.self) { try await Self.run($0, $1, client, waits) }], settings: settings)
    var services: [any Service] = [client, jobs, worker]
    if let adding { services += [TimedJobs(jobs: jobs, perSecond: adding), Teller(waits: waits)] }
    try await ServiceGroup(
      services: services, gracefulShutdownSignals: [.sigterm], logger: database.logger
    ).run()
  }

  private static func run(
    _ errand: Errand, _ context: JobContext, _ client: PostgresClient, _ waits: Waits
  ) async throws {
    let (job, attempt) = (context.id, Int32(context.attempt))
    let pause = Duration.milliseconds(errand.milliseconds)
    if errand.manner == .timed {
      waits.add(Int64(NIODeadline.now().uptimeNanoseconds / 1000) - errand.addedAtMicroseconds)
      return try await Task.sleep(for: pause)
    }
    let begin = BeginRun(job: job, attempt: attempt, manner: errand.manner.rawValue, process: getpid())
    _ = try await client.execute(begin, tenant: nil)
    switch errand.manner {
    case .timed: break
    case .poison: abort()
    case .apart:
      try await Task.sleep(for: pause)
      _ = try await client.executeBatch(
        TakeEffect(job: job, attempt: attempt), EndRun(job: job, attempt: attempt), tenant: nil)
    case .whole:
      try await Task.sleep(for: pause)
      try await complete(context, client)
    case .dawdling: try await complete(context, client, pause)
    case .deaf:
      // A task of its own is not cancelled with this one.
      try await Task {
        try await Task.sleep(for: pause)
        try await complete(context, client)
      }.value
    }
  }

  /// Takes effect and acknowledges at once, or does neither and says so.
  private static func complete(
    _ context: JobContext, _ client: PostgresClient, _ pause: Duration = .zero
  ) async throws {
    let (job, attempt) = (context.id, Int32(context.attempt))
    do {
      try await client.transaction(tenant: nil) { transaction in
        _ = try await transaction.execute(TakeEffect(job: job, attempt: attempt))
        _ = try await transaction.execute(EndRun(job: job, attempt: attempt))
        try await context.complete(in: transaction)
        try await Task.sleep(for: pause)
      }
    } catch JobError.lost {
      _ = try await client.execute(NoteRefusal(job: job, attempt: attempt), tenant: nil)
      throw JobError.lost
    }
  }
}
