import MainstreetAPI
import NIOCore
import Postgres
import RPC
import ServiceKit
import ServiceLifecycle
import TimeZones

extension IdentitySvc {
  static func build(_ context: ServiceContext) async throws -> [any Service] {
    let zones: TimeZones
    do {
      zones = try TimeZones()
    } catch {
      throw StartupFailure("the time zone database is not installed; install the package tzdata")
    }
    let policy = try policy(context.settings)
    let secrets = try ServiceSecrets(context.settings.string("service.secrets"))
    let passwords = try passwords(context.settings)
    let database = try await context.database(of: IdentitySvc.self)
    let verifier = PrincipalVerifier()
    let keys = SigningKeys(
      postgres: database.client, seal: try KeySeal(context.settings.string("key.encryption.key")),
      verifier: verifier, logger: context.logger)
    do {
      try await keys.load()
    } catch let error as SigningKeyError {
      throw StartupFailure("\(error)")
    }
    let tokens = AccessTokens(
      keys: keys, issuer: try context.settings.string("token.issuer"),
      audience: try context.settings.string("token.audience"))
    let keyUses = ApiKeyUses(postgres: database.client, logger: context.logger)
    let identity = IdentityService(
      postgres: database.client, keys: keys, tokens: tokens, passwords: passwords, zones: zones,
      policy: policy)
    let access = AccessService(
      postgres: database.client, keys: keys, tokens: tokens, secrets: secrets, keyUses: keyUses)
    return [
      database, passwords, keys, keyUses, Housekeeping(postgres: database.client, logger: context.logger),
      try context.rpcServer(
        [identity.serviceDefinition, access.serviceDefinition.endingAtShutdown()], verifier: verifier,
        interceptors: [.databaseErrors()]),
    ]
  }

  static func policy(_ settings: Settings) throws -> IdentityPolicy {
    var policy = IdentityPolicy()
    policy.isSignUpOpen = try settings.bool("signup.open")
    policy.keyEnvironment = try settings.string("api.key.environment")
    guard ApiKeyText.isEnvironment(policy.keyEnvironment) else {
      throw StartupFailure("\(settings.name("api.key.environment")) must be 1 to 16 small letters")
    }
    return policy
  }

  static func passwords(_ settings: Settings) throws -> PasswordPool {
    let threads =
      try settings.optional("password.threads") == nil
      ? max(1, System.coreCount / 2) : settings.int("password.threads", in: 1...256)
    return PasswordPool(threads: threads, mostWaiting: try settings.int("password.queue", in: 0...100_000))
  }
}
