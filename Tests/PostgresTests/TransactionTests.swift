import NIOConcurrencyHelpers
import NIOCore
import Synchronization
import Testing

@testable import Postgres

private struct Add: Statement {
  static let name = "Add"
  static let sql = "UPDATE counters SET value = value + 1 WHERE id = $1"
  var id: Int32
  func bind(into bindings: inout Bindings) { bindings.append(id) }
}

private struct Read: Statement {
  static let name = "Read"
  static let sql = "SELECT value FROM counters WHERE id = $1"
  static let isIdempotent = true
  var id: Int32
  func bind(into bindings: inout Bindings) { bindings.append(id) }
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

private struct Write: Statement {
  static let name = "Write"
  static let sql = "UPDATE counters SET value = $2 WHERE id = $1"
  var id: Int32
  var value: Int64
  func bind(into bindings: inout Bindings) {
    bindings.append(id)
    bindings.append(value)
  }
}

private struct BackendPID: Statement {
  static let name = "BackendPID"
  static let sql = "SELECT pg_backend_pid()"
  static func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}

private let counters = """
  CREATE TABLE counters (id int4 PRIMARY KEY, value int8 NOT NULL);
  INSERT INTO counters VALUES (1, 0), (2, 0);
  """

private struct Refusal: Error {}

private final class PIDs: Sendable {
  private let pids = NIOLockedValueBox(Set<Int32>())
  var count: Int { pids.withLockedValue(\.count) }
  func insert(_ pid: Int32) { _ = pids.withLockedValue { $0.insert(pid) } }
}

@Suite("Transactions")
struct TransactionTests {
  @Test("An attempt that fails is undone, with what failed in the database too, and the transaction goes on")
  func attempts() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      try await client.transaction(tenant: nil) { transaction in
        _ = try await transaction.executeCount(Add(id: 1))
        await #expect(throws: Refusal.self) {
          try await transaction.attempt {
            try await transaction.executeCount(Add(id: 1))
            try await transaction.attempt { try await transaction.executeCount(Add(id: 2)) }
            throw Refusal()
          }
        }
        let error = await #expect(throws: PostgresError.self) {
          try await transaction.attempt {
            try await transaction.executeCount(Add(id: 2))
            try await transaction.execute(sql: "INSERT INTO counters VALUES (1, 1)")
          }
        }
        #expect(error?.sqlState == .uniqueViolation)
        try await transaction.attempt { try await transaction.executeCount(Add(id: 2)) }
        // Nothing follows this one but the commit.
        await #expect(throws: Refusal.self) { try await transaction.attempt { throw Refusal() } }
      }
      #expect(try await client.executeOne(Read(id: 1), tenant: nil) == 1)
      #expect(try await client.executeOne(Read(id: 2), tenant: nil) == 1)
    }
  }

  @Test("An attempt that fails and is followed by the commit alone is undone")
  func lastAttempt() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      try await client.transaction(tenant: nil) { transaction in
        try await transaction.executeCount(Add(id: 2))
        await #expect(throws: PostgresError.self) {
          try await transaction.attempt {
            try await transaction.executeCount(Add(id: 1))
            try await transaction.execute(sql: "INSERT INTO counters VALUES (1, 1)")
          }
        }
      }
      #expect(try await client.executeOne(Read(id: 1), tenant: nil) == 0)
      #expect(try await client.executeOne(Read(id: 2), tenant: nil) == 1)
    }
  }

  @Test("What is executed at the commit is executed after all else, and undoes all if it fails")
  func executedAtCommit() async throws {
    struct Insert: Statement {
      static let name = "Insert"
      static let sql = "INSERT INTO counters VALUES ($1, (SELECT value FROM counters WHERE id = 1))"
      var id: Int32
      func bind(into bindings: inout Bindings) { bindings.append(id) }
    }
    try await TestDatabase.withClient(setup: counters) { client in
      try await client.transaction(tenant: nil) { transaction in
        transaction.executeAtCommit(Insert(id: 3))
        try await transaction.executeCount(Write(id: 1, value: 7))
      }
      #expect(try await client.executeOne(Read(id: 3), tenant: nil) == 7)
      // Also alone.
      try await client.transaction(tenant: nil) { $0.executeAtCommit(Insert(id: 4)) }
      #expect(try await client.executeOne(Read(id: 4), tenant: nil) == 7)
      let error = await #expect(throws: PostgresError.self) {
        try await client.transaction(tenant: nil) { transaction in
          try await transaction.executeCount(Write(id: 1, value: 8))
          transaction.executeAtCommit(Insert(id: 3))
        }
      }
      #expect(error?.sqlState == .uniqueViolation)
      #expect(try await client.executeOne(Read(id: 1), tenant: nil) == 7)
    }
  }

  @Test("What is to follow the commit follows it, and no rollback")
  func afterCommit() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      let calls = Atomic(0)
      await #expect(throws: Refusal.self) {
        try await client.transaction(tenant: nil) { transaction in
          transaction.afterCommit { calls.add(1, ordering: .relaxed) }
          try await transaction.executeCount(Add(id: 1))
          throw Refusal()
        }
      }
      #expect(calls.load(ordering: .relaxed) == 0)
      try await client.transaction(tenant: nil) { transaction in
        transaction.afterCommit { calls.add(1, ordering: .relaxed) }
        try await transaction.executeCount(Add(id: 1))
        #expect(calls.load(ordering: .relaxed) == 0)
      }
      #expect(calls.load(ordering: .relaxed) == 1)
    }
  }

  @Test("Commits when the body returns, and rolls back when it throws")
  func commitAndRollBack() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      let result = try await client.transaction(tenant: nil) { transaction in
        try await transaction.executeCount(Add(id: 1))
        return try await transaction.executeOne(Read(id: 1))
      }
      #expect(result == 1)
      await #expect(throws: Refusal.self) {
        try await client.transaction(tenant: nil) { transaction in
          try await transaction.executeCount(Add(id: 1))
          throw Refusal()
        }
      }
      try await #expect(client.executeOne(Read(id: 1), tenant: nil) == 1)
      // A transaction that runs nothing sends nothing.
      try await client.transaction(tenant: nil) { _ in }
    }
  }

  @Test("A body that swallows an error does not commit by accident")
  func swallowedError() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      let error = await #expect(throws: PostgresError.self) {
        try await client.transaction(tenant: nil) { transaction in
          try await transaction.executeCount(Add(id: 1))
          _ = try? await transaction.execute(sql: "SELECT 1/0")
        }
      }
      #expect(error?.sqlState == .inFailedTransaction)
      try await #expect(client.executeOne(Read(id: 1), tenant: nil) == 0)
    }
  }

  @Test("Of two serializable transactions that collide one is run again")
  func serializationFailure() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      // Both have read before either writes: the first time round, a collision for certain.
      let (firstHasRead, secondHasRead) = (Gate(), Gate())
      let runs = Counter()
      @Sendable func increment(_ mine: Gate, _ other: Gate) async throws {
        let options = TransactionOptions(isolation: .serializable)
        try await client.transaction(tenant: nil, options: options) { transaction in
          runs.add()
          let value = try await transaction.executeOne(Read(id: 1)) ?? 0
          mine.open()
          await other.wait()
          try await transaction.executeCount(Write(id: 1, value: value + 1))
        }
      }
      async let first: Void = increment(firstHasRead, secondHasRead)
      async let second: Void = increment(secondHasRead, firstHasRead)
      _ = try await (first, second)
      #expect(runs.count == 3)
      try await #expect(client.executeOne(Read(id: 1), tenant: nil) == 2)
    }
  }

  @Test("The loser of a deadlock is run again")
  func deadlock() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      // Each holds one row before it asks for the other's: the first time round, a deadlock for certain.
      let (hasFirst, hasSecond) = (Gate(), Gate())
      let runs = Counter()
      @Sendable func add(_ mine: Int32, _ other: Int32, _ mineIsHeld: Gate, _ otherIsHeld: Gate) async throws
      {
        try await client.transaction(tenant: nil) { transaction in
          runs.add()
          try await transaction.executeCount(Add(id: mine))
          mineIsHeld.open()
          await otherIsHeld.wait()
          try await transaction.executeCount(Add(id: other))
        }
      }
      async let first: Void = add(1, 2, hasFirst, hasSecond)
      async let second: Void = add(2, 1, hasSecond, hasFirst)
      _ = try await (first, second)
      #expect(runs.count == 3)
      try await #expect(client.executeOne(Read(id: 1), tenant: nil) == 2)
      try await #expect(client.executeOne(Read(id: 2), tenant: nil) == 2)
    }
  }

  @Test("After the last attempt the conflict is the caller's")
  func attemptsRunOut() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      let runs = Counter()
      let error = await #expect(throws: PostgresError.self) {
        try await client.transaction(tenant: nil) { transaction in
          runs.add()
          try await transaction.script("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
        }
      }
      #expect(error?.sqlState == .serializationFailure)
      #expect(runs.count == 3)
    }
  }

  @Test("Every caller gets a connection in turn, and no more are opened than allowed")
  func poolIsBounded() async throws {
    try await TestDatabase.withClient(setup: counters, { $0.leasedConnections = 3 }) { client in
      let pids = PIDs()
      try await withThrowingTaskGroup { group in
        for _ in 0..<200 {
          group.addTask {
            try await client.transaction(tenant: nil) { transaction in
              let pid = try await transaction.executeOne(BackendPID()) ?? 0
              try await transaction.executeCount(Add(id: 1))
              pids.insert(pid)
            }
          }
        }
        try await group.waitForAll()
      }
      try await #expect(client.executeOne(Read(id: 1), tenant: nil) == 200)
      #expect(pids.count <= 3)
    }
  }

  @Test("With every connection taken, callers wait their time; with a full queue, not at all")
  func exhaustion() async throws {
    try await TestDatabase.withClient(
      setup: counters,
      {
        $0.leasedConnections = 1
        $0.leaseQueueLimit = 1
      }
    ) { client in
      try await client.transaction(tenant: nil) { transaction in
        try await transaction.executeCount(Add(id: 1))
        let others = (0..<2).map { _ in
          Task {
            try await client.transaction(tenant: nil, deadline: .now() + .milliseconds(200)) { transaction in
              try await transaction.executeCount(Add(id: 2))
            }
          }
        }
        var kinds: [PostgresError.Kind?] = []
        for other in others {
          kinds.append(await #expect(throws: PostgresError.self) { try await other.value }?.kind)
        }
        #expect(Set(kinds) == [.deadlineExceeded, .queueFull])
      }
      try await #expect(client.executeOne(Read(id: 2), tenant: nil) == 0)
    }
  }

  @Test("Cancelling a caller stops its statement in the server, undoes its transaction, and leaks nothing")
  func cancellation() async throws {
    try await TestDatabase.withClient(setup: counters, { $0.leasedConnections = 1 }) { client in
      let isSleeping = Gate()
      let sleeper = Task {
        try await client.transaction(tenant: nil) { transaction in
          try await transaction.executeCount(Add(id: 1))
          isSleeping.open()
          try await transaction.execute(sql: "SELECT pg_sleep(60)", name: "Sleep")
        }
      }
      await isSleeping.wait()
      sleeper.cancel()
      await #expect(throws: CancellationError.self) { try await sleeper.value }
      // The only connection is free again, and the row is not locked by a backend that sleeps on.
      try await client.transaction(tenant: nil, deadline: .now() + .seconds(5)) { transaction in
        try await transaction.executeCount(Add(id: 1))
      }
      try await #expect(client.executeOne(Read(id: 1), tenant: nil) == 1)
    }
  }

  @Test("A deadline stops the statement of a transaction in the server too")
  func deadline() async throws {
    try await TestDatabase.withClient(setup: counters, { $0.leasedConnections = 1 }) { client in
      let error = await #expect(throws: PostgresError.self) {
        try await client.transaction(tenant: nil, deadline: .now() + .milliseconds(100)) { transaction in
          try await transaction.executeCount(Add(id: 1))
          try await transaction.execute(sql: "SELECT pg_sleep(60)", name: "Sleep")
        }
      }
      #expect(error?.kind == .deadlineExceeded)
      try await client.transaction(tenant: nil, deadline: .now() + .seconds(5)) { transaction in
        try await transaction.executeCount(Add(id: 1))
      }
      try await #expect(client.executeOne(Read(id: 1), tenant: nil) == 1)
    }
  }

  @Test("The server's own statement timeout has its SQLSTATE")
  func statementTimeout() async throws {
    try await TestDatabase.withClient { client in
      let error = await #expect(throws: PostgresError.self) {
        try await client.transaction(
          tenant: nil, options: TransactionOptions(statementTimeout: .milliseconds(50))
        ) { transaction in
          try await transaction.execute(sql: "SELECT pg_sleep(60)", name: "Sleep")
        }
      }
      #expect(error?.sqlState == .queryCanceled)
      try await #expect(client.value("SHOW statement_timeout", String.self) == "15s")
    }
  }

  @Test("A lock is waited for briefly on a shared connection, and in a transaction as long as it takes")
  func lockTimeout() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      try await client.transaction(tenant: nil) { transaction in
        try await transaction.executeCount(Add(id: 1))
        let error = await #expect(throws: PostgresError.self) {
          try await client.executeCount(Add(id: 1), tenant: nil)
        }
        #expect(error?.sqlState == .lockNotAvailable)
        try await #expect(client.value("SHOW lock_timeout", String.self) == "1s")
        #expect(try await transaction.executeOne(ShowLockTimeout()) == "0")
      }
    }
  }

  @Test("A read-only transaction refuses to write")
  func readOnly() async throws {
    try await TestDatabase.withClient(setup: counters) { client in
      let error = await #expect(throws: PostgresError.self) {
        try await client.transaction(tenant: nil, options: TransactionOptions(isReadOnly: true)) {
          transaction in
          try await transaction.executeCount(Add(id: 1))
        }
      }
      #expect(error?.sqlState?.rawValue == "25006")
    }
  }
}

private struct ShowLockTimeout: Statement {
  static let name = "ShowLockTimeout"
  static let sql = "SELECT current_setting('lock_timeout')"
  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// Counts from several tasks.
final class Counter: Sendable {
  private let value = Atomic(0)
  var count: Int { value.load(ordering: .relaxed) }
  func add() { value.add(1, ordering: .relaxed) }
}

/// Opens once; those who wait for it go on.
final class Gate: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = NIOLockedValueBox(State())

  func open() {
    let waiting = state.withLockedValue { state in
      state.isOpen = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLockedValue { state in
        if !state.isOpen { state.waiting.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }
}
