import ArgumentParser
import ServiceKit

/// For an emergency; in quiet times the service makes a key of itself every 30 days.
struct RotateKeys: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rotate-keys", abstract: "Make a new signing key, which begins to sign in five minutes.")

  @Flag(
    help: ArgumentHelp(
      "Somebody else may have the keys: the new one signs at once, and all others are taken back.",
      discussion:
        "What they signed counts for nothing from then on; within a minute, everywhere. People stay signed in: their clients get new access tokens."
    ))
  var compromised = false

  @Option(help: ArgumentHelp("A JSON file with settings.", valueName: "path"))
  var config: String?

  @Argument(parsing: .allUnrecognized, help: .hidden)
  var flags: [String] = []

  func run() async throws {
    await IdentitySvc.perform(flags, file: config) { context in
      let keys = SigningKeys(
        postgres: try await context.database(of: IdentitySvc.self).client,
        seal: try KeySeal(context.settings.string("key.encryption.key")), verifier: PrincipalVerifier(),
        logger: context.logger)
      let key = try await keys.rotate(
        lead: Self.lead, withdrawing: compromised, by: Caller(command: "rotate-keys"))
      return ["the key \(key.id) signs from \(key.activeFrom.timestamp) on"]
    }
  }

  /// Until whoever verifies has looked again, which they do every minute.
  private static let lead = Duration.minutes(5)
}
