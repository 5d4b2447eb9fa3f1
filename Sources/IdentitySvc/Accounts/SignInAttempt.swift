import Glibc
import Postgres
import RPC

/// An attempt to sign in, as it is counted: by email, and by address where that is known.
struct SignInAttempt: Sendable {
  let email: EmailAddress
  let address: String

  private struct Subject {
    var name: String
    var rules: LockoutRules
    var error: (Duration) -> AccountError
  }

  private var subjects: [Subject] {
    let email = Subject(name: "email:\(email.digest)", rules: .account, error: { .accountLocked($0) })
    guard let network = ClientNetwork(address) else { return [email] }
    return [email, Subject(name: "address:\(network.text)", rules: .address, error: { .addressLocked($0) })]
  }

  /// Counts the attempt.
  /// - Returns: whether the next one has to wait unless this one succeeds.
  /// - Throws: `AccountError.accountLocked`, `.addressLocked`.
  func begin(on postgres: PostgresClient, now: Instant) async throws -> Bool {
    let subjects = subjects
    return try await postgres.transaction(tenant: nil) { transaction in
      let states = try await states(transaction, now)
      var isLast = false
      var next: [(String, LockoutRules.State)] = []
      for subject in subjects {
        guard let state = states[subject.name] else { continue }
        switch subject.rules.attempt(state, now: now) {
        case .locked(let end): throw subject.error(end - now)
        case .allowed(let state):
          next.append((subject.name, state))
          isLast = isLast || state.lockedUntil != nil
        }
      }
      for (name, state) in next {
        try await transaction.executeCount(SaveSignInState(subject: name, state: state))
      }
      return isLast
    }
  }

  /// The attempt succeeded: what was counted against the email is forgotten, and against the address the attempt itself;
  /// who has one account must not be free to guess at others.
  func succeed(in transaction: Transaction, now: Instant) async throws {
    let states = try await states(transaction, now)
    for subject in subjects {
      guard let state = states[subject.name] else { continue }
      let isEmail = subject.name.hasPrefix("email:")
      try await transaction.executeCount(
        SaveSignInState(
          subject: subject.name,
          state: isEmail ? LockoutRules.State(lastFailedAt: now) : subject.rules.takeBack(state)))
    }
  }

  /// The attempt was never decided, for a reason of our own.
  func takeBack(on postgres: PostgresClient, now: Instant) async throws {
    try await postgres.transaction(tenant: nil) { transaction in
      let states = try await states(transaction, now)
      for subject in subjects {
        guard let state = states[subject.name] else { continue }
        try await transaction.executeCount(
          SaveSignInState(subject: subject.name, state: subject.rules.takeBack(state)))
      }
    }
  }

  private func states(_ transaction: Transaction, _ now: Instant) async throws -> [String: LockoutRules.State]
  {
    let rows = try await transaction.execute(LockSignInStates(subjects: subjects.map(\.name), now: now))
    return Dictionary(rows.map { ($0.subject, $0.state) }) { $1 }
  }
}

/// Whoever has one of its addresses may have any of them: an IPv4 address, or the first half of an IPv6 address.
struct ClientNetwork: Hashable, Sendable {
  let text: String

  /// Nil for what is no address.
  init?(_ address: String) {
    var four = in_addr()
    if inet_pton(AF_INET, address, &four) == 1 {
      text = address
      return
    }
    var six = in6_addr()
    guard inet_pton(AF_INET6, address, &six) == 1 else { return nil }
    let bytes = withUnsafeBytes(of: six) { Array($0) }
    // ::ffff:a.b.c.d is an IPv4 address on a socket that takes both.
    if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
      text = bytes.suffix(4).map { String($0) }.joined(separator: ".")
    } else {
      text = bytes.prefix(8).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + "/64"
    }
  }
}

struct LockSignInStates: Statement {
  static let name = "LockSignInStates"
  static let sql =
    "SELECT subject, failures, last_failed_at, locked_until FROM identity.sign_in_states($1, $2)"
  var subjects: [String]
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(subjects)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> (subject: String, state: LockoutRules.State) {
    (
      try row.next(),
      LockoutRules.State(
        failures: Int(try row.next(Int32.self)), lastFailedAt: try row.next(), lockedUntil: try row.next())
    )
  }
}

struct SaveSignInState: Statement {
  static let name = "SaveSignInState"
  static let sql = "SELECT identity.sign_in_save($1, $2, $3, $4)"
  var subject: String
  var state: LockoutRules.State

  func bind(into bindings: inout Bindings) {
    bindings.append(subject)
    bindings.append(Int32(clamping: state.failures))
    bindings.append(state.lastFailedAt)
    bindings.append(state.lockedUntil)
  }
}
