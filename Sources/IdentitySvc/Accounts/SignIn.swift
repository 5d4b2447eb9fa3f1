import MainstreetAPI
import NIOCore
import Postgres
import RPC
import ServiceKit

/// Who has proved to be the owner of an account, and where they are to act.
struct ProvenAccount: Sendable {
  var account: Account
  var place: Place?
  /// In place of an outdated hash.
  var newHash: String?

  /// An account's place in a tenant.
  struct Place: Sendable, Hashable {
    var tenant: UUID
    var role: String
    var joinedAt: Instant
  }
}

extension IdentityService {
  /// Signs a person in: counts the attempt, compares the password, opens a session.
  /// - Parameter slug: of the tenant to act in; the one joined first if nil.
  func signIn(
    email: EmailAddress, password: String, slug: String?, caller: Caller, deadline: NIODeadline?
  ) async throws -> OpenedSession {
    let attempt = SignInAttempt(email: email, address: caller.address)
    let proven: ProvenAccount
    do {
      proven = try await prove(attempt, password: password, slug: slug, caller: caller, deadline: deadline)
      return try await open(proven, slug: slug, attempt: attempt, caller: caller, deadline: deadline)
    } catch let error as AccountError {
      throw error.rpcError
    }
  }

  /// - Throws: `AccountError.wrongCredentials` and its locks. Costs the same whether there is an account or not.
  func prove(
    _ attempt: SignInAttempt, password: String, slug: String?, caller: Caller, deadline: NIODeadline?
  ) async throws -> ProvenAccount {
    let isLast = try await attempt.begin(on: postgres, now: now())
    let find = FindAccountSigningIn(email: attempt.email, slug: slug)
    let found = try await postgres.executeOne(find, tenant: nil, deadline: deadline)
    let verdict: PasswordVerdict
    var newHash: String?
    do {
      verdict = try await passwords.verify(password, against: found?.account.passwordHash)
      if verdict == .rightButOutdated { newHash = try await passwords.hash(password) }
    } catch {
      try? await attempt.takeBack(on: postgres, now: now())
      throw error
    }
    guard let found, verdict != .wrong else {
      try await tellFailure(attempt, of: found, isLast: isLast, caller: caller)
      throw AccountError.wrongCredentials
    }
    return ProvenAccount(account: found.account, place: found.place, newHash: newHash)
  }

  /// In the log of the tenant that was to be entered, if there is one.
  private func tellFailure(
    _ attempt: SignInAttempt, of found: FindAccountSigningIn.Row?, isLast: Bool, caller: Caller
  ) async throws {
    let tenant = found?.place?.tenant ?? .noTenant
    let target = found.map { "account:\($0.account.id)" } ?? ""
    let now = now()
    try await postgres.transaction(tenant: tenant) { transaction in
      let details = ["email": attempt.email.text]
      try await transaction.audit(
        .signInFailed, in: tenant, by: caller, target: target, details: details, now: now)
      guard isLast else { return }
      try await transaction.audit(
        .signInLocked, in: tenant, by: caller, target: target, details: details, now: now)
    }
  }

  private func open(
    _ proven: ProvenAccount, slug: String?, attempt: SignInAttempt, caller: Caller, deadline: NIODeadline?
  ) async throws -> OpenedSession {
    var tenant = proven.place?.tenant
    var roles = proven.place.map { [$0.role] } ?? []
    if proven.account.isPlatformAdmin {
      // Stands above tenants, and acts in one only when told to.
      roles = [PlatformAdmin.role]
      tenant = nil
      if let slug { tenant = try await postgres.executeOne(FindTenantOfSlug(slug: slug), tenant: nil) ?? nil }
      if slug != nil, tenant == nil { throw AccountError.notMember }
    } else if tenant == nil {
      throw AccountError.notMember
    }
    let now = now()
    let session = NewSession(account: proven.account.id, tenant: tenant, now: now)
    let place = tenant
    let row = try await postgres.transaction(tenant: place ?? .noTenant, deadline: deadline) { transaction in
      if let hash = proven.newHash {
        try await transaction.executeCount(
          SetPassword(account: proven.account.id, old: proven.account.passwordHash, new: hash))
      }
      try await transaction.open(session, roles: roles, by: caller)
      try await attempt.succeed(in: transaction, now: now)
      guard let place else { return nil as Tenant? }
      return try await transaction.executeOne(FindTenant(tenant: place))
    }
    return OpenedSession(
      account: proven.account, tenant: row, member: proven.member(in: place),
      token: try await accessToken(session, roles: roles), refreshToken: session.token.text)
  }

  func accessToken(_ session: NewSession, roles: [String]) async throws -> String {
    do {
      return try await tokens.sign(
        account: session.account, session: session.id, tenant: session.tenant, roles: roles)
    } catch is SigningKeyError {
      throw AccessError.noSigningKey.rpcError
    }
  }
}

extension ProvenAccount {
  /// The account's place in the tenant it acts in, if it has one there.
  fileprivate func member(in tenant: UUID?) -> Member? {
    guard let place, place.tenant == tenant else { return nil }
    return Member(
      accountId: "\(account.id)", email: account.email, name: account.name, role: Role(stored: place.role),
      joinedAt: Timestamp(place.joinedAt))
  }
}

struct FindAccountSigningIn: Statement {
  static let name = "FindAccountSigningIn"
  static let sql = """
    SELECT account_id, email, name, password_hash, is_platform_admin, tenant_id, role, joined_at
    FROM identity.account_signing_in($1, $2)
    """
  static let isIdempotent = true
  var email: EmailAddress
  var slug: String?

  struct Row: Sendable {
    var account: Account
    var place: ProvenAccount.Place?
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(email.key)
    bindings.append(slug)
  }

  static func decode(_ row: inout RowReader) throws -> Row {
    let account = try Account.decode(&row)
    let tenant = try row.next(UUID?.self)
    let role = try row.next(String?.self)
    let joinedAt = try row.next(Instant?.self)
    guard let tenant, let role, let joinedAt else { return Row(account: account) }
    return Row(account: account, place: .init(tenant: tenant, role: role, joinedAt: joinedAt))
  }
}

struct FindTenantOfSlug: Statement {
  static let name = "FindTenantOfSlug"
  static let sql = "SELECT identity.tenant_of_slug($1)"
  static let isIdempotent = true
  var slug: String
  func bind(into bindings: inout Bindings) { bindings.append(slug) }
  static func decode(_ row: inout RowReader) throws -> UUID? { try row.next() }
}
