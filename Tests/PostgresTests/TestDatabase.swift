import Glibc
import Logging
import NIOCore
import Testing

@testable import Postgres

/// A database of its own for one test, dropped afterwards.
struct TestDatabase {
  let name: String
  /// As the superuser the environment names.
  let url: String

  static var serverURL: String {
    get throws {
      try #require(
        getenv("MAINSTREET_TEST_DATABASE_URL").map { String(cString: $0) },
        "set MAINSTREET_TEST_DATABASE_URL to a superuser's URL of a throwaway Postgres, or run ./dev test")
    }
  }

  /// The same server, another database or user.
  func url(user: String) -> String { url.replacing("user=postgres", with: "user=\(user)") }

  static func with<Result>(_ body: (TestDatabase) async throws -> Result) async throws -> Result {
    let serverURL = try serverURL
    let name = "test_" + UUID.v7(now: .now()).description.replacing("-", with: "")
    try await withClient(serverURL, { $0.sharedConnections = 1 }) { server in
      try await server.run(sql: "CREATE DATABASE \(name) TEMPLATE template0")
    }
    let database = TestDatabase(name: name, url: serverURL.replacing(":///postgres", with: ":///\(name)"))
    let result: Swift.Result<Result, any Error>
    do { result = .success(try await body(database)) } catch { result = .failure(error) }
    try await withClient(serverURL, { $0.sharedConnections = 1 }) { server in
      try await server.run(sql: "DROP DATABASE \(name) WITH (FORCE)")
    }
    return try result.get()
  }

  /// A fresh database with a client of it.
  @discardableResult
  static func withClient<Result>(
    setup: String = "", _ configure: (inout PostgresClient.Configuration) -> Void = { _ in },
    _ body: (PostgresClient) async throws -> Result
  ) async throws -> Result {
    try await with { database in
      try await withClientOf(database.url, configure) { client in
        if !setup.isEmpty { try await client.script(setup) }
        return try await body(client)
      }
    }
  }

  @discardableResult
  static func withClient<Result>(
    _ url: String, _ configure: (inout PostgresClient.Configuration) -> Void = { _ in },
    _ body: (PostgresClient) async throws -> Result
  ) async throws -> Result {
    try await withClientOf(url, configure, body)
  }
}

/// A client for as long as `body` runs.
private func withClientOf<Result>(
  _ url: String, _ configure: (inout PostgresClient.Configuration) -> Void,
  _ body: (PostgresClient) async throws -> Result
) async throws -> Result {
  var configuration = PostgresClient.Configuration(url: url, applicationName: "PostgresTests")
  configuration.shutdownGrace = .seconds(2)
  // Many tests at once on a small machine: what is about time says so itself.
  configuration.unavailableAfter = .seconds(20)
  configuration.queueTimeout = .seconds(20)
  configure(&configuration)
  var logger = Logger(label: "PostgresTests")
  logger.logLevel = .critical
  let client = try PostgresClient(configuration: configuration, logger: logger)
  do {
    let result = try await body(client)
    await client.loop.drain()
    return result
  } catch {
    await client.loop.drain()
    throw error
  }
}

extension PostgresClient {
  /// One statement outside any transaction block, as CREATE DATABASE wants it.
  func run(sql: String) async throws {
    let request = Request([Step(unprepared: sql, name: "Test")], deadline: nil)
    _ = try await request.wait(submit: { loop.submit(.request(request)) })
  }

  func script(_ sql: String) async throws {
    try await transaction(tenant: nil) { try await $0.script(sql) }
  }
}

/// Any SQL, its parameter and its one column, for tests that are about neither.
struct Query<Parameter: PostgresEncodable, Column: PostgresDecodable>: Statement {
  static var name: String { "Query" }
  static var sql: String { "" }
  let text: String
  let parameter: Parameter?

  func bind(into bindings: inout Bindings) {
    if let parameter { bindings.append(parameter) }
  }
  static func decode(_ row: inout RowReader) throws -> Column { try row.next() }
}

extension PostgresClient {
  /// The one value of one row.
  func value<Column: PostgresDecodable>(
    _ sql: String, _: Column.Type = Column.self, tenant: UUID? = nil
  ) async throws -> Column? {
    let query = Query<Int32, Column>(text: sql, parameter: nil)
    return try await value(query, tenant: tenant)
  }

  func value<Parameter, Column>(_ query: Query<Parameter, Column>, tenant: UUID? = nil) async throws
    -> Column?
  {
    let preamble = tenant.map { [Step(SetTenant(tenant: $0))] } ?? []
    let request = Request(preamble + [Step(query, unprepared: query.text)], deadline: nil)
    let results = try await request.wait(submit: { loop.submit(.request(request)) })
    return try results[preamble.count].onlyRow(of: Query<Parameter, Column>.self)
  }
}
