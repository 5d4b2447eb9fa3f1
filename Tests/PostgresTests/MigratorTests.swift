import Logging
import NIOCore
import Testing

@testable import Postgres

@Suite("Migrations")
struct MigratorTests {
  private let first = Migration(
    version: 1, name: "things", sql: "CREATE TABLE shop.things (id int8); INSERT INTO shop.things VALUES (1);"
  )
  private let second = Migration(version: 2, name: "names", sql: "ALTER TABLE shop.things ADD name text")
  private let logger = Logger(label: "MigratorTests") { _ in SwiftLogNoOpLogHandler() }

  private func migrator(_ migrations: Migration...) throws -> Migrator {
    try Migrator(schema: "shop", migrations: migrations)
  }

  @Test("Applies what is missing, in order, once")
  func applies() async throws {
    try await TestDatabase.withClient { client in
      try await #expect(migrator(first).run(on: client, logger: logger) == [first])
      try await #expect(migrator(first).run(on: client, logger: logger) == [])
      try await #expect(migrator(first, second).pending(on: client) == [second])
      try await #expect(migrator(first, second).run(on: client, logger: logger) == [second])
      try await #expect(client.value("SELECT count(*) FROM shop.things", Int64.self) == 1)
      try await migrator(first, second).requireCurrent(on: client, logger: logger)
    }
  }

  @Test("A dry run says what is missing and changes nothing")
  func dryRun() async throws {
    try await TestDatabase.withClient { client in
      let migrator = try migrator(first, second)
      try await #expect(migrator.run(on: client, dryRun: true, logger: logger) == [first, second])
      try await #expect(client.value("SELECT to_regnamespace('shop') IS NULL", Bool.self) == true)
    }
  }

  @Test("A service does not start before its migrations have run")
  func requireCurrent() async throws {
    try await TestDatabase.withClient { client in
      let error = await #expect(throws: MigrationError.self) {
        try await migrator(first).requireCurrent(on: client, logger: logger)
      }
      #expect(error == .pending([first]))
      #expect(error?.description == "migrations missing: 0001_things; run `migrate` first")
    }
  }

  @Test("A migration edited after it was applied is refused")
  func edited() async throws {
    try await TestDatabase.withClient { client in
      try await migrator(first).run(on: client, logger: logger)
      let edited = Migration(version: 1, name: "things", sql: first.sql + " ")
      let error = await #expect(throws: MigrationError.self) {
        try await migrator(edited, second).run(on: client, logger: logger)
      }
      #expect(error == .edited(edited))
    }
  }

  @Test("A database that a newer release has migrated is not migrated, but served from")
  func newerDatabase() async throws {
    try await TestDatabase.withClient { client in
      try await migrator(first, second).run(on: client, logger: logger)
      let error = await #expect(throws: MigrationError.self) {
        try await migrator(first).run(on: client, logger: logger)
      }
      #expect(error == .newerDatabase(version: 2, known: 1))
      try await migrator(first).requireCurrent(on: client, logger: logger)
      // What is known here must be there all the same, unedited.
      let edited = Migration(version: 1, name: "things", sql: first.sql + " ")
      let other = await #expect(throws: MigrationError.self) {
        try await migrator(edited).requireCurrent(on: client, logger: logger)
      }
      #expect(other == .edited(edited))
    }
  }

  @Test("A migration that fails is undone whole, and those before it stay")
  func failure() async throws {
    try await TestDatabase.withClient { client in
      let broken = Migration(version: 2, name: "broken", sql: "CREATE TABLE shop.half (id int8); SELECT 1/0;")
      let error = await #expect(throws: MigrationError.self) {
        try await migrator(first, broken).run(on: client, logger: logger)
      }
      guard case .failed(broken, let cause) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(cause.sqlState?.rawValue == "22012")
      try await #expect(client.value("SELECT to_regclass('shop.half') IS NULL", Bool.self) == true)
      try await #expect(migrator(first, broken).pending(on: client) == [broken])
    }
  }

  @Test("A migration that commits by itself is refused", arguments: ["COMMIT", "ROLLBACK", "COMMIT; BEGIN"])
  func endsTransaction(sql: String) async throws {
    try await TestDatabase.withClient { client in
      let sneaky = Migration(version: 1, name: "sneaky", sql: sql)
      let error = await #expect(throws: MigrationError.self) {
        try await migrator(sneaky).run(on: client, logger: logger)
      }
      #expect(error == .endedTransaction(sneaky))
    }
  }

  @Test("Programs that start together migrate once")
  func concurrentStarts() async throws {
    try await TestDatabase.with { database in
      let migrator = try migrator(first, second)
      let applied = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<8 {
          group.addTask {
            try await TestDatabase.withClient(database.url, { $0.sharedConnections = 1 }) { client in
              try await migrator.run(on: client, logger: logger).count
            }
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(applied == 2)
    }
  }

  @Test("Versions count from 1 without gaps", arguments: [[2], [1, 3], [1, 1], [0]])
  func misnumbered(versions: [Int32]) {
    #expect(throws: MigrationError.self) {
      try Migrator(schema: "shop", migrations: versions.map { Migration(version: $0, name: "x", sql: "") })
    }
  }

  @Test("An owner without the right to create schemas migrates the schema made for it")
  func plainOwner() async throws {
    try await TestDatabase.with { database in
      let owner = database.name + "_owner"
      let login = database.name + "_login"
      try await TestDatabase.withClient(database.url) { admin in
        try await admin.script(
          """
          CREATE ROLE \(owner) LOGIN; CREATE ROLE \(login) LOGIN;
          CREATE SCHEMA shop AUTHORIZATION \(owner); GRANT USAGE ON SCHEMA shop TO \(login);
          """)
      }
      let migrator = try migrator(first)
      try await TestDatabase.withClient(database.url(user: owner)) { client in
        try await migrator.run(on: client, logger: logger)
      }
      try await TestDatabase.withClient(database.url(user: login)) { client in
        try await migrator.requireCurrent(on: client, logger: logger)
      }
      try await TestDatabase.withClient(database.url) { admin in
        try await admin.script(
          "DROP OWNED BY \(owner) CASCADE; DROP OWNED BY \(login); DROP ROLE \(owner); DROP ROLE \(login)")
      }
    }
  }
}
