import Glibc
import Testing

@testable import Postgres

/// A Postgres server of one test's own, on a socket in a temporary directory.
struct TestServer {
  let directory: String

  var url: String { "postgresql:///postgres?host=\(directory)&user=postgres" }

  static func with(_ body: (TestServer) async throws -> Void) async throws {
    let initdb = "\(bin)/initdb -U postgres -A trust --no-sync"
    try await with(dataFrom: initdb, body)
  }

  /// A server and a standby that follows it.
  static func withStandby(_ body: (_ primary: TestServer, _ standby: TestServer) async throws -> Void)
    async throws
  {
    try await with { primary in
      let copy = "\(bin)/pg_basebackup -h \(primary.directory) -U postgres -c fast -R --no-sync"
      try await with(dataFrom: copy) { standby in try await body(primary, standby) }
    }
  }

  /// - Parameter command: makes a data directory where `-D` says.
  private static func with(dataFrom command: String, _ body: (TestServer) async throws -> Void) async throws {
    var template = Array("/tmp/postgres-test-XXXXXX".utf8CString)
    let directory = try template.withUnsafeMutableBufferPointer { buffer in
      let path = try #require(buffer.baseAddress)
      return String(cString: try #require(mkdtemp(path)))
    }
    let server = TestServer(directory: directory)
    try server.asPostgres("chown", asRoot: "chown postgres \(directory)")
    try server.asPostgres("\(command) -D \(directory)/data >/dev/null")
    try server.start()
    let result: Result<Void, any Error>
    do { result = .success(try await body(server)) } catch { result = .failure(error) }
    // Not killed, and if it was, started once more: its shared memory would stay behind.
    let stop = "\(bin)/pg_ctl -D \(directory)/data -m immediate stop >/dev/null 2>&1"
    if (try? server.asPostgres(stop)) == nil {
      try server.start()
      try server.asPostgres(stop)
    }
    try server.shell("rm -rf \(directory)")
    try result.get()
  }

  /// Stops it at once, so that it can be started with other settings.
  func stop() throws {
    try asPostgres("\(Self.bin)/pg_ctl -D \(directory)/data -m immediate -w stop >/dev/null")
  }

  /// Runs a command in its data directory, as the user it runs as.
  func inData(_ command: String) throws { try asPostgres("cd \(directory)/data && \(command)") }

  func promote() throws {
    try asPostgres("\(Self.bin)/pg_ctl -D \(directory)/data -w promote >/dev/null")
  }

  /// - Parameter settings: as Postgres takes them on its command line.
  func start(_ settings: String = "") throws {
    let options = "-c fsync=off -c listen_addresses= -c unix_socket_directories=\(directory) \(settings)"
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

  /// Of 127.0.0.1, on which nobody listens.
  static func freePort() throws -> UInt16 {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(listener, address, length) + getsockname(listener, address, &length)
      }
    }
    try #require(status == 0)
    return UInt16(bigEndian: address.sin_port)
  }

  private static let bin = "/usr/lib/postgresql/15/bin"

  struct Failure: Error {
    let command: String
    let status: Int32
  }

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
    guard status == 0 else { throw Failure(command: command, status: status) }
  }
}
