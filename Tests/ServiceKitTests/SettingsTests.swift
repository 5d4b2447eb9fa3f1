import Testing

@testable import ServiceKit

@Suite struct SettingsTests {
  private static let declared =
    [
      Setting("grpc.listen", default: "127.0.0.1:0", help: ""),
      Setting("database.url", help: ""),
      Setting("api.key", optional: true, secret: true, help: ""),
    ] + Setting.serverTLS("grpc") + Setting.clientTLS("peer")

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

  @Test(
    "TLS that cannot be used is named by setting, or by file, with its fault",
    arguments: [
      (
        ["--grpc-tls-certificate", "/none.pem"],
        "--grpc-tls-key (MAINSTREET_STORE_GRPC_TLS_KEY) is not set; a certificate and its key go together"
      ),
      (
        ["--grpc-tls-certificate", "/none.pem", "--grpc-tls-key", "/none.key"],
        "TLS for grpc cannot be used: /none.pem: No such file or directory"
      ),
      (
        ["--grpc-tls-client-ca", "/none.pem"],
        "--grpc-tls-client-ca (MAINSTREET_STORE_GRPC_TLS_CLIENT_CA) is set without --grpc-tls-certificate "
          + "(MAINSTREET_STORE_GRPC_TLS_CERTIFICATE)"
      ),
      (["--peer-tls-ca", "/none.pem"], "TLS for peer cannot be used: /none.pem: No such file or directory"),
      (
        ["--peer-tls-server-name", "a.b"],
        "TLS for peer is set without --peer-tls-ca (MAINSTREET_STORE_PEER_TLS_CA); \"system\" stands for the "
          + "machine's own"
      ),
    ])
  func badTLS(arguments: [String], message: String) async throws {
    let settings = try await settings(arguments)
    let error = #expect(throws: StartupFailure.self) {
      _ = try settings.serverTLS("grpc")
      _ = try settings.clientTLS("peer")
    }
    #expect(error?.description == message)
  }

  @Test("Without TLS settings there is no TLS")
  func noTLS() async throws {
    let settings = try await settings()
    let server = try settings.serverTLS("grpc")
    let client = try settings.clientTLS("peer")
    #expect(server == nil && client == nil)
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
