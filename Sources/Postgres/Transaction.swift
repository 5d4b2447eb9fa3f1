internal import NIOConcurrencyHelpers
package import NIOCore

package struct TransactionOptions: Sendable {
  package enum Isolation: String, Sendable {
    case readCommitted = "READ COMMITTED"
    case repeatableRead = "REPEATABLE READ"
    case serializable = "SERIALIZABLE"
  }

  package var isolation: Isolation
  package var isReadOnly: Bool
  /// Replaces the configuration's for this transaction.
  package var statementTimeout: TimeAmount?
  /// How often the whole closure is run, counting the first time, when Postgres breaks a tie at its expense
  /// (40001, 40P01).
  package var attempts: Int

  package init(
    isolation: Isolation = .readCommitted, isReadOnly: Bool = false,
    statementTimeout: TimeAmount? = nil, attempts: Int = 3
  ) {
    self.isolation = isolation
    self.isReadOnly = isReadOnly
    self.statementTimeout = statementTimeout
    self.attempts = attempts
  }
}

extension PostgresClient {
  /// Runs `body` in a transaction on a connection of its own: committed when it returns, rolled back when it
  /// throws. After a serialization failure or deadlock, or when the server has become a standby, the whole of `body` is run again, so it must have no
  /// effects outside the transaction. Never wait for another system in it.
  /// - Parameters:
  ///   - tenant: whose rows it may see.
  ///   - deadline: bounds the wait for a connection and every statement.
  @discardableResult
  package func transaction<Result>(
    tenant: UUID?, options: TransactionOptions = TransactionOptions(), deadline: NIODeadline? = nil,
    _ body: (Transaction) async throws -> Result
  ) async throws -> Result {
    var attempt = 1
    while true {
      let lease = try await loop.lease(deadline: deadline)
      let transaction = Transaction(lease, tenant, options, deadline, configuration)
      do {
        let result = try await body(transaction)
        try await transaction.commit()
        lease.release()
        return result
      } catch {
        await transaction.rollBack()
        lease.release()
        guard transaction.metConflict, attempt < options.attempts, !Task.isCancelled else { throw error }
        // Two that collided must not meet again in step.
        try await Task.sleep(for: .milliseconds(Int64.random(in: 1...Int64(10 * attempt))))
        attempt += 1
      }
    }
  }
}

/// A transaction in progress. Statements may be run from several tasks at once; they go out in the order they come.
package final class Transaction: Sendable {
  let lease: Lease
  let deadline: NIODeadline?
  private let timeout: TimeAmount
  private let configuration: PostgresClient.Configuration
  private let isReadOnly: Bool
  private let state: NIOLockedValueBox<State>

  private struct State {
    /// Sent in front of the next statement, in its round trip: what opens the transaction, and savepoints.
    var ahead: [Step]
    /// Sent in front of COMMIT, in its round trip.
    var closing: [Step] = []
    var isOpen = false
    var savepoints = 0
    var metConflict = false
    var commitActions: [@Sendable () -> Void] = []
  }

  init(
    _ lease: Lease, _ tenant: UUID?, _ options: TransactionOptions, _ deadline: NIODeadline?,
    _ configuration: PostgresClient.Configuration
  ) {
    self.lease = lease
    self.deadline = deadline
    self.configuration = configuration
    timeout = (options.statementTimeout ?? configuration.statementTimeout) + .seconds(2)
    isReadOnly = options.isReadOnly
    // Never READ WRITE: whether the server takes writes is its operator's to say.
    let access = options.isReadOnly ? " READ ONLY" : ""
    var opening = [
      Step(unprepared: "BEGIN ISOLATION LEVEL \(options.isolation.rawValue)\(access)", name: "Begin")
    ]
    // Nobody waits behind it.
    opening.append(Step(SetLockTimeout(milliseconds: 0)))
    if let tenant { opening.append(Step(SetTenant(tenant: tenant))) }
    if let timeout = options.statementTimeout {
      opening.append(Step(SetStatementTimeout(milliseconds: timeout.nanoseconds / 1_000_000)))
    }
    state = NIOLockedValueBox(State(ahead: opening))
  }

  package func execute<S: Statement>(_ statement: S) async throws -> [S.Row] {
    try await perform(Step(statement)).rows(of: S.self)
  }

  package func executeOne<S: Statement>(_ statement: S) async throws -> S.Row? {
    try await perform(Step(statement)).onlyRow(of: S.self)
  }

  /// Returns how many rows were inserted, updated or deleted.
  @discardableResult
  package func executeCount(_ statement: some Statement) async throws -> Int {
    try await perform(Step(statement)).affectedRows
  }

  /// Runs SQL without parameters or rows, such as `CREATE TEMPORARY TABLE`. One statement.
  @discardableResult
  package func execute(sql: String, name: String = "SQL") async throws -> Int {
    try await perform(Step(unprepared: sql, name: name)).affectedRows
  }

  /// Runs a statement last of all, in the round trip of COMMIT. If it fails, the transaction is rolled back.
  package func executeAtCommit(_ statement: some Statement) {
    state.withLockedValue { $0.closing.append(Step(statement)) }
  }

  /// Runs `body`. When it throws, what it did is undone, and the transaction can go on. No round trips of its own.
  @discardableResult
  package func attempt<Result>(_ body: () async throws -> Result) async throws -> Result {
    let name = state.withLockedValue { state in
      state.savepoints += 1
      let name = "attempt_\(state.savepoints)"
      state.ahead.append(Step(unprepared: "SAVEPOINT \(name)", name: "Savepoint"))
      return name
    }
    do {
      return try await body()
    } catch {
      state.withLockedValue { state in
        state.ahead.append(Step(unprepared: "ROLLBACK TO SAVEPOINT \(name)", name: "RollbackTo"))
      }
      throw error
    }
  }

  /// Like `execute`, with other SQL than the statement's own.
  func execute<S: Statement>(_ statement: S, sql: String) async throws -> [S.Row] {
    try await perform(Step(statement, unprepared: sql)).rows(of: S.self)
  }

  /// Runs several statements separated by semicolons, as a migration has them.
  package func script(_ sql: String) async throws {
    try await open()
    try await noting { try await lease.script(sql, deadline: expiry) }
  }

  /// Has `action` called once the transaction is committed; never if it is rolled back, or if nobody can tell.
  package func afterCommit(_ action: @escaping @Sendable () -> Void) {
    state.withLockedValue { $0.commitActions.append(action) }
  }

  /// When a statement sent now is given up.
  var expiry: NIODeadline { min(deadline ?? .distantFuture, .now() + timeout) }

  var metConflict: Bool { state.withLockedValue { $0.metConflict } }

  /// Sends what opens the transaction, if it has not been sent.
  func open() async throws {
    if state.withLockedValue({ !$0.isOpen }) { _ = try await perform([]) }
  }

  func commit() async throws {
    let isNeeded = state.withLockedValue { $0.isOpen || !$0.closing.isEmpty }
    guard isNeeded, !(isReadOnly && lease.isDiscarded) else { return }
    let closing = state.withLockedValue { $0.closing } + [Step(unprepared: "COMMIT", name: "Commit")]
    // Not given up when the task is cancelled: the caller must learn whether the commit happened.
    let commit = Request(
      opening: takeAhead(), closing, deadline: expiry, isLeased: true, isCommit: true)
    let results = try await configuration.observing(commit) {
      try await noting { try await lease.perform(commit, isCancellable: false) }
    }
    let tag = results.last?.commandTag
    state.withLockedValue { $0.isOpen = false }
    guard tag == "COMMIT" else {
      // `body` swallowed an error; Postgres does not.
      var error = PostgresError(.server, "a statement failed, so the transaction was rolled back")
      error.sqlState = .inFailedTransaction
      throw error
    }
    for action in state.withLockedValue({ $0.commitActions }) { action() }
  }

  func rollBack() async {
    guard state.withLockedValue({ $0.isOpen }) else { return }
    let rollback = Request(
      [Step(unprepared: "ROLLBACK", name: "Rollback")], deadline: .now() + .seconds(2), isLeased: true)
    // If this fails the connection is not idle, so it is closed rather than reused, which rolls back too.
    _ = try? await lease.perform(rollback, isCancellable: false)
  }

  private func perform(_ step: Step) async throws -> StatementResult {
    var results = try await perform([step])
    return results.removeFirst()
  }

  private func perform(_ steps: [Step]) async throws -> [StatementResult] {
    let request = Request(opening: takeAhead(), steps, deadline: expiry, isLeased: true)
    return try await configuration.observing(request) {
      try await noting { try await lease.perform(request) }
    }
  }

  private func takeAhead() -> [Step] {
    state.withLockedValue { state in
      defer { (state.ahead, state.isOpen) = ([], true) }
      return state.ahead
    }
  }

  /// Remembers a conflict even if `body` throws something of its own because of it.
  func noting<Result>(_ operation: () async throws -> Result) async throws -> Result {
    do {
      return try await operation()
    } catch let error as PostgresError where error.isTransactionConflict || error.isStalePlan {
      state.withLockedValue { $0.metConflict = true }
      throw error
    } catch let error as PostgresError
      where error.sqlState == .readOnlyTransaction && !isReadOnly && lease.requiresWrites
    {
      // Run again it will be on a server that takes writes.
      lease.demoted()
      state.withLockedValue { $0.metConflict = true }
      throw error
    }
  }
}

/// Until the transaction ends; 0 is for ever.
struct SetLockTimeout: Statement {
  static let name = "SetLockTimeout"
  static let sql = "SELECT set_config('lock_timeout', $1, true)"
  var milliseconds: Int64
  func bind(into bindings: inout Bindings) { bindings.append(String(milliseconds)) }
}

struct SetStatementTimeout: Statement {
  static let name = "SetStatementTimeout"
  static let sql = "SELECT set_config('statement_timeout', $1, true)"
  var milliseconds: Int64
  func bind(into bindings: inout Bindings) { bindings.append(String(milliseconds)) }
}
