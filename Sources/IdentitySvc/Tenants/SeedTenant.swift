import ArgumentParser
import MainstreetAPI
import Postgres
import ServiceKit

/// Makes a tenant with a key that is known beforehand, once.
struct SeedTenant: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "seed-tenant",
    abstract: "Make sure there is a tenant of this id with this API key, which new-api-key makes up.",
    discussion: "For development and tests. Does nothing where both are there already.")

  @Option(help: "The tenant's UUID.")
  var id: String

  @Option(help: "Its name, if it is to be made.")
  var name: String

  @Option(help: "The key.")
  var apiKey: String

  @Option(help: ArgumentHelp("A JSON file with settings.", valueName: "path"))
  var config: String?

  @Argument(parsing: .allUnrecognized, help: .hidden)
  var flags: [String] = []

  func validate() throws {
    guard UUID(id) != nil else { throw ValidationError("--id must be a UUID") }
    guard ApiKeyText(apiKey) != nil else {
      throw ValidationError("--api-key must be one that new-api-key printed")
    }
    guard (1...200).contains(name.unicodeScalars.count) else {
      throw ValidationError("--name must have 1 to 200 characters")
    }
  }

  func run() async throws {
    guard let id = UUID(id), let key = ApiKeyText(apiKey) else { return }
    await IdentitySvc.perform(flags, file: config) { context in
      let postgres = try await context.database(of: IdentitySvc.self).client
      return try await Self.seed(id, name: name, key: key, on: postgres, now: .now())
    }
  }

  /// - Returns: what was done, a line each.
  static func seed(
    _ id: UUID, name: String, key: ApiKeyText, on postgres: PostgresClient, now: Instant
  ) async throws -> [String] {
    let caller = Caller(command: "seed-tenant")
    if let known = try await postgres.executeOne(FindApiKey(hash: key.hash), tenant: nil) {
      guard known.tenant == id else { throw StartupFailure("the key is another tenant's") }
      return []
    }
    return try await postgres.transaction(tenant: id) { transaction in
      var done: [String] = []
      if try await transaction.executeOne(FindTenant(tenant: id)) == nil {
        let tenant = try await transaction.open(NewTenant(id: id, name: name), by: caller, now: now)
        done.append("opened the tenant \(tenant.slug)")
      }
      let new = NewApiKey(tenant: id, name: "Seeded key", text: key, now: now)
      _ = try await transaction.add(new, by: caller)
      return done + ["added the key \(key.prefix)…"]
    }
  }
}
