import Glibc
import Testing

@testable import Postgres

/// A Postgres server of one test's own, on a socket in a temporary directory.
struct TestServer {
  let directory: String

  var url: String { "postgresql:///postgres?host=\(directory)&user=postgres" }

  static func with(_ body: (TestServer) async throws -> Void) async throws {
    var template = Array("/tmp/postgres-test-XXXXXX".utf8CString)
    let directory = try template.withUnsafeMutableBufferPointer { buffer in
      let path = try #require(buffer.baseAddress)
      return String(cString: try #require(mkdtemp(path)))
    }
    let server = TestServer(directory: directory)
    try server.asPostgres("chown", asRoot: "chown postgres \(directory)")
    try server.asPostgres("\(bin)/initdb -D \(directory)/data -U postgres -A trust --no-sync >/dev/null")
    try server.start()
    let result: Result<Void, any Error>
    do { result = .success(try await body(server)) } catch { result = .failure(error) }
    // Not killed: that would leave its shared memory behind.
    try? server.asPostgres("\(bin)/pg_ctl -D \(directory)/data -m immediate stop >/dev/null")
    try server.shell("rm -rf \(directory)")
    try result.get()
  }

  func start() throws {
    let options = "-c fsync=off -c listen_addresses= -c unix_socket_directories=\(directory)"
    try asPostgres(
      "\(Self.bin)/pg_ctl -D \(directory)/data -w -l \(directory)/log -o '\(options)' start >/dev/null 2>&1")
  }

  /// The postmaster and every one of its children at once, as a machine that loses power.
  func kill() throws {
    try shell(
      "pid=$(head -1 \(directory)/data/postmaster.pid); kill -9 $pid $(ps -o pid= --ppid $pid); tail -f --pid=$pid /dev/null"
    )
  }

  /// How many of its backends wait for this.
  func backends(waitingFor event: String) async throws -> Int64 {
    try await TestDatabase.withClient(url, { $0.sharedConnections = 1 }) { client in
      try await client.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = '\(event)'") ?? 0
    }
  }

  private static let bin = "/usr/lib/postgresql/15/bin"

  /// Postgres refuses to run as root.
  private func asPostgres(_ command: String, asRoot: String? = nil) throws {
    if geteuid() != 0 {
      if asRoot == nil { try shell(command) }
    } else {
      try shell(asRoot ?? "su postgres -c \"\(command)\"")
    }
  }

  private func shell(_ command: String) throws {
    let status = command.withCString { system($0) }
    try #require(status == 0, "\(command) ended with status \(status)")
  }
}
