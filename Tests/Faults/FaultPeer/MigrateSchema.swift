import ArgumentParser
import Jobs
import Postgres

struct MigrateSchema: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate", abstract: "Makes the queue's tables, as the role that owns the schema.")

  @OptionGroup var database: Database

  func run() async throws {
    let migration = Jobs.migration(version: 1, schema: Database.schema, role: "mainstreet_faults")
    let migrator = try Migrator(schema: Database.schema, migrations: [migration])
    try await migrator.run(on: database.client(), logger: database.logger)
  }
}
