package import Postgres
import ServiceLifecycle

extension Setting {
  /// What every program with a schema can be told.
  package static let postgres = [
    Setting(
      "database.url", secret: true,
      help: "Postgres, as the role that serves: a libpq URL or connection string."),
    Setting(
      "owner.database.url", optional: true, secret: true,
      help: "Postgres, as the role that owns the schema; only `migrate` uses it."),
  ]
}

extension ServiceContext {
  /// The program's database, fit to be served from. Its settings include `Setting.postgres`.
  /// - Throws: `StartupFailure` when the database cannot be reached, `MigrationError` when its schema is not
  ///   this version's.
  package func database(of program: (some MigratingProgram).Type) async throws -> Database {
    let client = try client("database.url", program)
    do {
      try await program.migrator.requireCurrent(on: client, logger: logger)
    } catch let error as PostgresError {
      throw StartupFailure("the database of \(settings.name("database.url")) cannot be used: \(error)")
    }
    return Database(client: client, readiness: readiness)
  }

  func client(_ key: String, _ program: any ServiceProgram.Type) throws -> PostgresClient {
    var configuration = PostgresClient.Configuration(
      url: try settings.string(key), applicationName: "mainstreet-\(program.name)")
    configuration.schema = (program as? any MigratingProgram.Type)?.schema
    configuration.observer = tracer?.statementObserver
    return try PostgresClient(configuration: configuration, logger: logger)
  }
}

/// A program's Postgres client, watched so that `/readyz` tells the truth.
package struct Database: Service {
  package let client: PostgresClient
  let readiness: Readiness

  package func run() async throws {
    await withDiscardingTaskGroup { group in
      group.addTask { await client.run() }
      await cancelWhenGracefulShutdown {
        while !Task.isCancelled {
          await look()
          try? await Task.sleep(for: .seconds(1))
        }
      }
    }
  }

  private func look() async {
    do {
      try await client.ping()
      readiness.report(nil, of: "postgres")
    } catch is CancellationError {
      return
    } catch {
      readiness.report("\(error)", of: "postgres")
    }
  }
}
