import Testing

@testable import ServiceKit

@Suite struct SettingsTests {
  private static let declared = [
    Setting("grpc.listen", default: "127.0.0.1:0", help: ""),
    Setting("database.url", help: ""),
    Setting("api.key", optional: true, secret: true, help: ""),
  ]

  private func settings(
    _ arguments: [String] = [], _ environment: [String: String] = ["MAINSTREET_STORE_DATABASE_URL": "x"]
  ) async throws -> Settings {
    try await Settings(
      service: "store", declared: Self.declared, arguments: arguments, environment: environment, file: nil)
  }

  private func failure(_ arguments: [String], _ environment: [String: String]) async -> String {
    do {
      _ = try await settings(arguments, environment)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test("A flag wins over the environment, the environment over the default")
  func precedence() async throws {
    let variable = "MAINSTREET_STORE_GRPC_LISTEN"
    let base = ["MAINSTREET_STORE_DATABASE_URL": "x"]
    #expect(try await settings([], base).string("grpc.listen") == "127.0.0.1:0")
    let environment = base.merging([variable: "a:1"]) { $1 }
    #expect(try await settings([], environment).string("grpc.listen") == "a:1")
    #expect(try await settings(["--grpc-listen", "b:2"], environment).string("grpc.listen") == "b:2")
    #expect(try await settings(["--grpc-listen=c:3"], environment).string("grpc.listen") == "c:3")
  }

  @Test("What is missing is named by flag and variable")
  func missing() async {
    #expect(await failure([], [:]) == "not set: --database-url (MAINSTREET_STORE_DATABASE_URL)")
  }

  @Test("An unknown flag, or one without a value, stops the start")
  func unknownFlag() async {
    let environment = ["MAINSTREET_STORE_DATABASE_URL": "x"]
    #expect(await failure(["--grpc-listne", "x"], environment).hasPrefix("unknown flag --grpc-listne"))
    #expect(await failure(["--grpc-listen"], environment) == "--grpc-listen needs a value")
  }

  @Test("Secrets are never printed")
  func redaction() async throws {
    let redacted = try await settings(["--api-key", "hush", "--grpc-listen", "a:1"]).redacted
    #expect(redacted.map(\.value) == ["a:1", "x", "<redacted>"])
  }
}
