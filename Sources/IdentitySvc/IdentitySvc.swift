import ArgumentParser
import Postgres
import ServiceKit
import ServiceLifecycle

/// Identity: who is calling, for which tenant, and what they may do?
@main
struct IdentitySvc: MigratingProgram {
  static let name = "identity"
  static let summary = "Tenants, accounts, API keys, tokens, roles and the audit log."
  static let settings = Setting.postgres + Setting.rpc + own
  static let listeners = ["grpc"]
  static let commands: [any ParsableCommand.Type] = [
    BootstrapAdmin.self, SeedTenant.self, NewKey.self, RotateKeys.self,
  ]

  static func main() async { await run() }

  static let schema = "identity"
  static let migrations = [
    Migration(
      version: 1, name: "identity", sql: String(decoding: PackageResources._001_identity_sql, as: UTF8.self))
  ]

  private static let own = [
    Setting(
      "key.encryption.key", secret: true,
      help:
        "What signing keys are closed with in the database: 32 bytes in base64. Several, separated by commas, while it is being changed: the first closes, all open."
    ),
    Setting(
      "service.secrets", default: "", secret: true,
      help:
        "The platform's programs and the SHA-256 of what each knows, in hex: edge=…,store=…. A name may be there twice while its secret is changed."
    ),
    Setting("signup.open", default: "false", help: "Let everyone open a tenant, not only platform admins."),
    Setting(
      "api.key.environment", default: "live", help: "What keys begin with behind msk_, 1 to 16 small letters."
    ),
    Setting("token.issuer", default: "mainstreet", help: "The issuer of access tokens, `iss`."),
    Setting("token.audience", default: "mainstreet", help: "Whom access tokens are for, `aud`."),
    Setting(
      "password.threads", optional: true,
      help: "Passwords that are hashed at a time, 16 MiB each; half as many as cores if not set."),
    Setting("password.queue", default: "64", help: "Passwords that may wait for that; more are refused."),
  ]
}
