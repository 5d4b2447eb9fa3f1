import ArgumentParser
import Foundation
import Jobs
import Logging
import NIOCore
import Postgres
import ServiceLifecycle

/// Our side of `./dev bench jobs`. Each command prints one line of JSON when it is done, with times by the monotonic
/// clock, which all processes of a machine share.
@main
struct JobsPeer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    subcommands: [Migrate.self, Add.self, Work.self])
}

struct Connecting: ParsableArguments {
  @Option(help: "A libpq URL.") var url: String
  @Option(help: "The schema of the queue.") var schema = "jobs"

  /// - Parameter connections: those that statements share.
  func client(connections: Int = 2) throws -> PostgresClient {
    var configuration = PostgresClient.Configuration(url: url, applicationName: "bench")
    configuration.schema = schema
    configuration.sharedConnections = connections
    return try PostgresClient(configuration: configuration, logger: Logger(label: "bench"))
  }
}

/// Makes the tables, as their owner.
struct Migrate: AsyncParsableCommand {
  @OptionGroup var connecting: Connecting
  @Option(help: "The role of those who add and work.") var role: String

  func run() async throws {
    let logger = Logger(label: "bench")
    let migration = Jobs.migration(version: 1, schema: connecting.schema, role: role)
    _ = try await Migrator(schema: connecting.schema, migrations: [migration])
      .run(on: connecting.client(), logger: logger)
  }
}

/// A job that does nothing, and knows when it was added.
struct Noop: JobKind {
  static let name = "noop"
  static let queue = "noop"
  /// Nanoseconds of the monotonic clock.
  var added: UInt64
}

/// Runs services while the body runs, then shuts them down in an orderly way.
func serving(_ services: [any Service], _ body: @Sendable () async throws -> Void) async throws {
  // What Postgres tells of slow statements would not be read.
  let group = ServiceGroup(
    services: services, logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
  try await withThrowingTaskGroup(of: Void.self) { tasks in
    tasks.addTask { try await group.run() }
    try await body()
    await group.triggerGracefulShutdown()
    try await tasks.waitForAll()
  }
}

/// What the process has used of the processors so far.
func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

extension NIODeadline {
  var seconds: Double { Double(uptimeNanoseconds) / 1e9 }
}

/// A share of sorted nanoseconds, in milliseconds.
func percentile(_ share: Double, of sorted: [Int64]) -> Double {
  sorted.isEmpty ? 0 : Double(sorted[Int(Double(sorted.count - 1) * share)]) / 1e6
}
