import ArgumentParser
import ServiceKit

/// Makes up a key, for who wants to fix the key of a tenant that is to be seeded.
struct NewKey: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new-api-key",
    abstract: "Print a key that nobody has, for seed-tenant; it opens nothing yet.")

  @Option(help: "What it begins with behind msk_, 1 to 16 small letters.")
  var environment = "dev"

  func validate() throws {
    guard ApiKeyText.isEnvironment(environment) else {
      throw ValidationError("--environment must be 1 to 16 small letters")
    }
  }

  func run() async throws {
    IdentitySvc.say([ApiKeyText.random(environment: environment).text])
  }
}
