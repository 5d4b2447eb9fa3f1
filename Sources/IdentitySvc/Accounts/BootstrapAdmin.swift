import ArgumentParser
import Postgres
import ServiceKit

/// What stands above tenants.
enum PlatformAdmin {
  static let role = "platform_admin"
}

/// Makes the first platform admin, who can make everything else.
struct BootstrapAdmin: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bootstrap-admin",
    abstract: "Make the first platform admin and print the password, this once. Refused when there is one.")

  @Option(help: "What the admin signs in with.")
  var email: String

  @Flag(help: "Where there is one already, do nothing and be content.")
  var ifNone = false

  @Option(help: ArgumentHelp("A JSON file with settings.", valueName: "path"))
  var config: String?

  @Argument(parsing: .allUnrecognized, help: .hidden)
  var flags: [String] = []

  func validate() throws {
    let parts = email.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }), email.utf8.count <= 255 else {
      throw ValidationError("--email must be an address")
    }
  }

  func run() async throws {
    await IdentitySvc.perform(flags, file: config) { context in
      let postgres = try await context.database(of: IdentitySvc.self).client
      let password = Base62.random(24)
      do {
        try await Self.make(email, password: password, on: postgres, now: .now())
      } catch PlatformAdminError.exists where ifNone {
        return []
      }
      return ["email     \(email)", "password  \(password)"]
    }
  }

  static func make(_ email: String, password: String, on postgres: PostgresClient, now: Instant) async throws
  {
    let account = Account(
      id: .v7(now: now), email: email, name: "Platform admin", passwordHash: try Scrypt.hash(password))
    try await postgres.transaction(tenant: .noTenant) { transaction in
      switch try await transaction.executeOne(AddPlatformAdmin(account: account, now: now)) {
      case "added": break
      case "taken": throw PlatformAdminError.emailTaken
      default: throw PlatformAdminError.exists
      }
      try await transaction.audit(
        .platformAdminCreated, in: .noTenant, by: Caller(command: "bootstrap-admin"),
        target: "account:\(account.id)", details: ["email": email], now: now)
    }
  }
}

enum PlatformAdminError: Error, Hashable, CustomStringConvertible {
  case exists
  case emailTaken

  var description: String {
    switch self {
    case .exists: "there is a platform admin already"
    case .emailTaken:
      "there is an account with this email, which would keep the password it has; take another"
    }
  }
}

struct AddPlatformAdmin: Statement {
  static let name = "AddPlatformAdmin"
  static let sql = "SELECT identity.platform_admin_add($1, $2, $3, $4, $5, $6)"
  var account: Account
  var now: Instant

  func bind(into bindings: inout Bindings) { AddAccount(account: account, now: now).bind(into: &bindings) }
  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
