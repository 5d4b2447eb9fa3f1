package import ArgumentParser
import Glibc
package import Logging
package import NIOPosix
package import Postgres
package import ServiceLifecycle

/// An executable of the platform: a service or the Edge. Conform, call `run()` from `@main`, and it has `serve`,
/// `--help`, configuration, logs, metrics, probes and an orderly end.
package protocol ServiceProgram: SendableMetatype {
  /// Lower-case, e.g. `store`. Names the process in its logs and its environment, `MAINSTREET_STORE_…`.
  static var name: String { get }
  /// One sentence for `--help`.
  static var summary: String { get }
  /// The program's own settings, beside those every program has.
  static var settings: [Setting] { get }
  /// The listeners that must be announced to `Readiness` before the program counts as ready.
  static var listeners: [String] { get }

  /// Commands of its own, beside those every program has. One that needs the program's settings runs in `perform`.
  static var commands: [any ParsableCommand.Type] { get }

  /// Wires the program up. The services run together; on shutdown they end in reverse order.
  static func build(_ context: ServiceContext) async throws -> [any Service]
}

extension ServiceProgram {
  package static var commands: [any ParsableCommand.Type] { [] }

  /// Runs a command with the program's settings, and ends the process: with the lines it returns, on standard output,
  /// or with one that says what went wrong.
  /// - Parameters:
  ///   - arguments: the flags that the command does not know itself.
  ///   - file: a JSON file with settings.
  package static func perform(
    _ arguments: [String], file: String?, _ body: (ServiceContext) async throws -> [String]
  ) async -> Never {
    await Runner<Self>(arguments: arguments, file: file).perform(body)
  }

  /// Ends the process with these lines on standard output.
  package static func say(_ lines: [String]) -> Never {
    for line in lines { puts(line) }
    exit(0)
  }
}

/// A program that owns a Postgres schema; it has the command `migrate` as well.
package protocol MigratingProgram: ServiceProgram {
  static var schema: String { get }
  /// In order, from 1.
  static var migrations: [Migration] { get }
}

/// What a program is built from.
package struct ServiceContext: Sendable {
  package let settings: Settings
  package let logger: Logger
  package let eventLoopGroup: MultiThreadedEventLoopGroup
  package let readiness: Readiness
  let tracing: Tracing?
  let rpc = ServedRPC()

  /// Records spans; nil when there is nowhere to send them.
  package var tracer: Tracer? { tracing?.tracer }
}

extension MigratingProgram {
  static var migrator: Migrator {
    get throws(MigrationError) { try Migrator(schema: schema, migrations: migrations) }
  }

  /// Brings the schema up to this version's, as its owner.
  /// - Returns: the migrations done, or with `dryRun` those to be done.
  static func migrate(_ context: ServiceContext, dryRun: Bool) async throws -> [Migration] {
    let client = try context.client("owner.database.url", Self.self)
    return try await migrator.run(on: client, dryRun: dryRun, logger: context.logger)
  }
}
