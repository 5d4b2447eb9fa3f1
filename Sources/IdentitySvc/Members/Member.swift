import MainstreetAPI
import Postgres
import RPC
import ServiceKit

/// Why something about a member cannot be done.
enum MemberError: Error, Hashable {
  case notFound
  case exceedsOwnRole
  case lastOwner
  case alreadyMember
  case tooMany(Int)
  case badCursor

  var rpcError: RPCError {
    switch self {
    case .notFound: RPCError(.notFound, "the tenant has no such member", reason: "MEMBER_NOT_FOUND")
    case .exceedsOwnRole:
      RPCError(
        .permissionDenied, "nobody gives or takes more than they have themselves", reason: "ROLE_EXCEEDS_OWN")
    case .lastOwner:
      RPCError(.failedPrecondition, "a tenant keeps an owner; make another one first", reason: "LAST_OWNER")
    case .alreadyMember:
      RPCError(.alreadyExists, "the account has a place in this tenant already", reason: "ALREADY_A_MEMBER")
    case .tooMany(let most):
      RPCError(
        .failedPrecondition, "a tenant has no more than \(most) members", reason: "TOO_MANY_MEMBERS")
    case .badCursor: .badCursor
    }
  }
}

extension Role {
  /// As the database and principals have it.
  var stored: String { jsonName ?? "" }

  init(stored text: String) { self = Self.allCases.first { $0.jsonName == text } ?? .unspecified }
}

extension RPCError {
  static let badCursor = RPCError(
    .invalidArgument, "the cursor is not one this service gave", reason: "INVALID_CURSOR",
    violations: [
      FieldViolation(field: "cursor", code: "INVALID_CURSOR", message: "must be a nextCursor, unchanged")
    ])
}

extension Transaction {
  /// Gives an account a place. The transaction acts for the tenant.
  func addMember(
    _ account: UUID, role: Role, to tenant: UUID, by caller: Caller, actor: String? = nil, now: Instant
  ) async throws {
    try await executeCount(InsertMember(tenant: tenant, account: account, role: role, now: now))
    try await audit(
      .memberAdded, in: tenant, by: caller, actor: actor, target: "account:\(account)",
      details: ["role": role.stored], now: now)
  }

  /// Holds the tenant against everybody else who changes its members or keys, so that what is counted stays so.
  func lock(_ tenant: UUID) async throws {
    guard try await executeOne(LockTenant(tenant: tenant)) != nil else { throw TenantError.notFound.rpcError }
  }

  /// What the caller is in the tenant at this moment, which the principal may be minutes behind; nil for a platform
  /// admin.
  func currentRole(of caller: Caller, in tenant: UUID) async throws -> String? {
    if caller.isPlatformAdmin { return nil }
    guard let account = caller.account,
      let role = try await executeOne(FindRole(tenant: tenant, account: account))
    else { throw MemberError.exceedsOwnRole }
    return role
  }
}

struct InsertMember: Statement {
  static let name = "InsertMember"
  static let sql = """
    INSERT INTO identity.memberships (tenant_id, account_id, role, joined_at) VALUES ($1, $2, $3, $4)
    """
  var tenant: UUID
  var account: UUID
  var role: Role
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(account)
    bindings.append(role.stored)
    bindings.append(now)
  }
}

struct LockTenant: Statement {
  static let name = "LockTenant"
  static let sql = "SELECT tenant_id FROM identity.tenants WHERE tenant_id = $1 FOR NO KEY UPDATE"
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}

struct FindRole: Statement {
  static let name = "FindRole"
  static let sql = "SELECT role FROM identity.memberships WHERE tenant_id = $1 AND account_id = $2"
  static let isIdempotent = true
  var tenant: UUID
  var account: UUID

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(account)
  }

  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

struct CountMembers: Statement {
  static let name = "CountMembers"
  static let sql = """
    SELECT count(*), count(*) FILTER (WHERE role = 'owner') FROM identity.memberships WHERE tenant_id = $1
    """
  static let isIdempotent = true
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
  static func decode(_ row: inout RowReader) throws -> (members: Int, owners: Int) {
    (try row.next(), try row.next())
  }
}
