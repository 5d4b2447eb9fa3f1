package import Logging
package import NIOCore
internal import ServiceLifecycle

/// A client of one Postgres database, on libpq.
///
/// Statements that are a transaction by themselves share a few connections in pipeline mode (`execute`);
/// transactions and copies have one to themselves while they last (`transaction`, `copyIn`, `copyOut`). One
/// thread does all the I/O. It connects when first needed and reconnects by itself.
///
/// Every failure is a `PostgresError`, except `CancellationError` when the calling task was cancelled: then the
/// answer is dropped, and the statement may have run.
package final class PostgresClient: Service {
  package let configuration: Configuration
  let loop: IOLoop

  package init(configuration: Configuration, logger: Logger) throws(PostgresError) {
    self.configuration = configuration
    loop = IOLoop(
      configuration: configuration, parameters: try configuration.connectionParameters(), logger: logger)
    loop.start()
  }

  deinit { loop.stop() }

  /// Returns after graceful shutdown, once everything begun has finished or `shutdownGrace` has passed.
  package func run() async {
    try? await gracefulShutdown()
    await loop.drain()
  }

  /// Runs a statement in a transaction of its own, in one round trip.
  /// - Parameters:
  ///   - tenant: whose rows it may see, as `mainstreet.tenant` for row-level security; none if nil.
  ///   - deadline: when the caller stops waiting. By default the limits of the configuration hold.
  package func execute<S: Statement>(
    _ statement: S, tenant: UUID?, deadline: NIODeadline? = nil
  ) async throws -> [S.Row] {
    try await perform(Step(statement), tenant, deadline).rows(of: S.self)
  }

  /// Like `execute`, for a statement that returns at most one row.
  package func executeOne<S: Statement>(
    _ statement: S, tenant: UUID?, deadline: NIODeadline? = nil
  ) async throws -> S.Row? {
    try await perform(Step(statement), tenant, deadline).onlyRow(of: S.self)
  }

  /// Like `execute`, and returns how many rows were inserted, updated or deleted.
  @discardableResult
  package func executeCount(
    _ statement: some Statement, tenant: UUID?, deadline: NIODeadline? = nil
  ) async throws -> Int {
    try await perform(Step(statement), tenant, deadline).affectedRows
  }

  /// Runs several statements in one transaction and one round trip; all of them or none take effect.
  package func executeBatch<each S: Statement>(
    _ statements: repeat each S, tenant: UUID?, deadline: NIODeadline? = nil
  ) async throws -> (repeat [(each S).Row]) {
    var steps: [Step] = []
    for statement in repeat each statements { steps.append(Step(statement)) }
    var results = try await perform(steps, tenant, deadline)
    return (repeat try results.removeFirst().rows(of: (each S).self))
  }

  /// Whether the database answers. Throws why not, within a second or so.
  package func ping() async throws {
    _ = try await execute(Ping(), tenant: nil)
  }

  private func perform(_ step: Step, _ tenant: UUID?, _ deadline: NIODeadline?) async throws
    -> StatementResult
  {
    var results = try await perform([step], tenant, deadline)
    return results.removeLast()
  }

  private func perform(
    _ steps: [Step], _ tenant: UUID?, _ deadline: NIODeadline?
  ) async throws -> [StatementResult] {
    let opening = tenant.map { [Step(SetTenant(tenant: $0))] } ?? []
    let request = Request(opening: opening, steps, deadline: deadline)
    return try await configuration.observing(request) {
      try await request.wait(submit: { loop.submit(.request(request)) })
    }
  }
}

extension PostgresClient.Configuration {
  func observing<Result>(_ request: Request, _ body: () async throws -> Result) async throws -> Result {
    guard let ended = observer?(request.name) else { return try await body() }
    do {
      let result = try await body()
      ended(nil)
      return result
    } catch {
      ended(error)
      throw error
    }
  }
}

/// Says for whom the rest of the transaction runs; its end takes it back. It is part of almost every request, so it returns
/// nothing: a row without a reader costs the server and the client a tenth of all they do for a small statement.
struct SetTenant: Statement {
  static let name = "SetTenant"
  static let sql = "SELECT WHERE set_config('mainstreet.tenant', $1, true) IS NULL"
  static let isIdempotent = true
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant.description) }
}

private struct Ping: Statement {
  static let name = "Ping"
  static let sql = "SELECT 1"
  static let isIdempotent = true
}
