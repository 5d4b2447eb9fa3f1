import MainstreetAPI
import Postgres
import RPC
import ServiceKit

/// A sign-in that is to be: a session and the first of its refresh tokens.
struct NewSession: Sendable {
  let id: UUID
  let account: UUID
  /// Nil for a platform admin who acts in none.
  let tenant: UUID?
  let token: OpaqueToken
  let now: Instant

  init(account: UUID, tenant: UUID?, now: Instant) {
    id = .v7(now: now)
    self.account = account
    self.tenant = tenant
    token = .random(.refresh)
    self.now = now
  }

  /// Of a refresh token; each one used gives another as long.
  static let life = Duration.days(30)
}

/// What whoever signed in is told.
struct OpenedSession: Sendable {
  var account: Account
  /// Nil for a platform admin who acts in none.
  var tenant: Tenant?
  var member: Member?
  var token: String
  var refreshToken: String
}

/// Why a session goes on no further.
enum SessionError: Error, Hashable {
  case unknownToken
  case expired
  case ended
  case reused

  var rpcError: RPCError {
    switch self {
    case .unknownToken: Self.refused("the refresh token is not known", "INVALID_REFRESH_TOKEN")
    case .expired: Self.refused("the refresh token has expired; sign in again", "REFRESH_TOKEN_EXPIRED")
    case .ended: Self.refused("the session has ended; sign in again", "SESSION_ENDED")
    case .reused:
      Self.refused(
        "the refresh token was used before, so the session has been ended; sign in again",
        "REFRESH_TOKEN_REUSED")
    }
  }

  private static func refused(_ message: String, _ reason: String) -> RPCError {
    RPCError(.unauthenticated, message, reason: reason)
  }
}

/// Why sessions ended, as the database has it.
enum SessionEnd: String, Sendable {
  case signedOut = "signed_out"
  case reused
  case passwordChanged = "password_changed"
  case memberRemoved = "member_removed"
}

extension Transaction {
  /// Opens a session. The transaction acts for its tenant, or for none.
  func open(_ session: NewSession, roles: [String], by caller: Caller) async throws {
    try await executeCount(OpenSession(session: session))
    let log = session.tenant ?? .noTenant
    let actor = "account:\(session.account)"
    if session.tenant != nil, roles == [PlatformAdmin.role] {
      try await audit(
        .platformAdminEntered, in: log, by: caller, actor: actor, target: "session:\(session.id)",
        now: session.now)
    }
    try await audit(
      .signInSucceeded, in: log, by: caller, actor: actor, target: "session:\(session.id)",
      details: ["roles": roles.joined(separator: " ")], now: session.now)
  }
}

struct OpenSession: Statement {
  static let name = "OpenSession"
  static let sql = "SELECT identity.session_open($1, $2, $3, $4, $5, $6)"
  var session: NewSession

  func bind(into bindings: inout Bindings) {
    bindings.append(session.id)
    bindings.append(session.account)
    bindings.append(session.tenant)
    bindings.append(session.token.hash)
    bindings.append(session.now)
    bindings.append(session.now + NewSession.life)
  }
}

/// The session of a refresh token, held against others who come with one of its tokens.
struct LockSession: Statement {
  static let name = "LockSession"
  static let sql = """
    SELECT session_id, account_id, tenant_id, ended_at IS NOT NULL, token_expires_at, token_used_at IS NOT NULL
    FROM identity.session_of_token($1)
    """
  var hash: TokenHash

  func bind(into bindings: inout Bindings) { bindings.append(hash) }

  struct Row: Sendable {
    var id: UUID
    var account: UUID
    var tenant: UUID?
    var token: RefreshRules.Token
  }

  static func decode(_ row: inout RowReader) throws -> Row {
    Row(
      id: try row.next(), account: try row.next(), tenant: try row.next(),
      token: RefreshRules.Token(hasEnded: try row.next(), expiresAt: try row.next(), isUsed: try row.next()))
  }
}

/// Ends an account's sessions: all, those in one tenant, one, or all but one.
struct EndSessions: Statement {
  static let name = "EndSessions"
  static let sql = "SELECT id FROM identity.sessions_end($1, $2, $3, $4, $5, $6) AS id"
  var account: UUID
  var tenant: UUID?
  var only: UUID?
  var keeping: UUID?
  var reason: SessionEnd
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(account)
    bindings.append(tenant)
    bindings.append(only)
    bindings.append(keeping)
    bindings.append(reason.rawValue)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}

/// Says for whom the rest of a transaction runs, where a credential had to be looked up first.
struct ActFor: Statement {
  static let name = "ActFor"
  static let sql = "SELECT set_config('mainstreet.tenant', $1, true)"
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant.description) }
}
