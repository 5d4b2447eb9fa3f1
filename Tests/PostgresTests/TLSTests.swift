import Glibc
import Logging
import NIOCore
import Testing

@testable import Postgres

/// What libpq's TLS settings in the URL come to.
@Suite("TLS", .timeLimit(.minutes(1)))
struct TLSTests {
  private static let isEncrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

  @Test("The URL decides whether to encrypt and whom to trust, and what does not fit is refused")
  func modes() async throws {
    try await TestServer.with { server in
      let port = try TestServer.freePort()
      try server.inData(Self.certificates)
      try server.stop()
      try server.start(
        "-c listen_addresses=127.0.0.1 -c port=\(port) -c ssl=on -c ssl_cert_file=server.crt -c ssl_key_file=server.key"
      )
      // Readable for us too, who may be somebody else than the server.
      let (right, wrong) = ("\(server.directory)/right.crt", "\(server.directory)/wrong.crt")

      func url(_ host: String, _ settings: String) -> String {
        "postgresql://\(host):\(port)/postgres?user=postgres&hostaddr=127.0.0.1&\(settings)"
      }
      func encrypted(_ host: String, _ settings: String) async throws -> Bool? {
        try await TestDatabase.withClient(url(host, settings)) { client in
          try await client.value(Self.isEncrypted, Bool.self)
        }
      }
      func refusal(_ host: String, _ settings: String) throws -> String? {
        let configuration = PostgresClient.Configuration(url: url(host, settings))
        let connector = Connector(
          parameters: try configuration.connectionParameters(), logger: Logger(label: "test"))
        let error = #expect(throws: PostgresError.self) { _ = try connector.connect(mayCopy: false).get() }
        #expect(error?.kind == .unavailable)
        return error?.message
      }

      try await #expect(encrypted("shops.test", "sslmode=disable") == false)
      try await #expect(encrypted("shops.test", "sslmode=require") == true)
      try await #expect(encrypted("shops.test", "sslmode=verify-full&sslrootcert=\(right)") == true)
      try await #expect(encrypted("other.test", "sslmode=verify-ca&sslrootcert=\(right)") == true)
      #expect(
        try refusal("other.test", "sslmode=verify-full&sslrootcert=\(right)")?.contains(
          #"server certificate for "shops.test" does not match host name "other.test""#) == true)
      #expect(
        try refusal("shops.test", "sslmode=verify-full&sslrootcert=\(wrong)")?.contains(
          "certificate verify failed") == true)
      #expect(
        try refusal("shops.test", "sslmode=verify-full&sslrootcert=/nonexistent")?.contains(
          #"root certificate file "/nonexistent" does not exist"#) == true)
    }
  }

  /// An authority that vouches for the server, and one that does not.
  private static var certificates: String {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    func authority(_ name: String) -> String {
      "openssl req -x509 \(key) -days 2 -subj /CN=\(name) -keyout \(name).key -out ../\(name).crt"
    }
    return [
      authority("right"), authority("wrong"),
      "openssl req \(key) -subj /CN=shops.test -keyout server.key -out server.csr", "chmod 600 server.key",
      "openssl x509 -req -days 2 -in server.csr -CA ../right.crt -CAkey right.key -CAcreateserial -out server.crt",
    ].map { "\($0) 2>/dev/null" }.joined(separator: " && ")
  }
}
