import Postgres
import RPC

/// Somebody who signs in, whatever tenants they have a place in.
struct Account: Sendable, Hashable {
  var id: UUID
  var email: String
  var name: String
  var passwordHash: String
  var isPlatformAdmin = false

  static func decode(_ row: inout RowReader) throws -> Account {
    Account(
      id: try row.next(), email: try row.next(), name: try row.next(), passwordHash: try row.next(),
      isPlatformAdmin: try row.next())
  }
}

/// Why something about an account cannot be done.
enum AccountError: Error, Hashable {
  /// Says nothing of whether there is such an account.
  case wrongCredentials
  case accountLocked(Duration)
  case addressLocked(Duration)
  case emailTaken
  case notMember
  case wrongPassword
  case changedMeanwhile
  case notPerson
  case nameNeeded

  var rpcError: RPCError {
    switch self {
    case .wrongCredentials:
      RPCError(.unauthenticated, "email or password is wrong", reason: "INVALID_CREDENTIALS")
    case .accountLocked(let wait):
      RPCError(
        .resourceExhausted, "too many attempts to sign in with this email; try again later",
        reason: "ACCOUNT_LOCKED", retryAfter: wait)
    case .addressLocked(let wait):
      RPCError(
        .resourceExhausted, "too many attempts to sign in from this address; try again later",
        reason: "TOO_MANY_ATTEMPTS", retryAfter: wait)
    case .emailTaken:
      RPCError(
        .alreadyExists, "there is an account with this email", reason: "EMAIL_TAKEN",
        violations: [FieldViolation(field: "email", code: "EMAIL_TAKEN", message: "has an account already")])
    case .notMember:
      RPCError(.permissionDenied, "the account has no place in this tenant", reason: "NOT_A_MEMBER")
    case .wrongPassword:
      RPCError(
        .invalidArgument, "the current password is wrong", reason: "WRONG_PASSWORD",
        violations: [FieldViolation(field: "current_password", code: "WRONG_PASSWORD", message: "is wrong")])
    case .changedMeanwhile:
      RPCError(.aborted, "the password was changed by somebody else meanwhile", reason: "CONFLICT")
    case .notPerson:
      RPCError(.permissionDenied, "only a person can do this", reason: "PERMISSION_DENIED")
    case .nameNeeded:
      RPCError(
        .invalidArgument, "there is no account yet, so name is needed", reason: "VALIDATION_FAILED",
        violations: [
          FieldViolation(field: "name", code: "REQUIRED", message: "is needed where there is no account yet")
        ])
    }
  }
}

struct FindAccount: Statement {
  static let name = "FindAccount"
  static let sql =
    "SELECT account_id, email, name, password_hash, is_platform_admin FROM identity.account_find($1)"
  static let isIdempotent = true
  var account: UUID
  func bind(into bindings: inout Bindings) { bindings.append(account) }
  static func decode(_ row: inout RowReader) throws -> Account { try Account.decode(&row) }
}

/// False when the address has an account.
struct AddAccount: Statement {
  static let name = "AddAccount"
  static let sql = "SELECT identity.account_add($1, $2, $3, $4, $5, $6)"
  var account: Account
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(account.id)
    bindings.append(account.email)
    bindings.append(EmailAddress(account.email).key)
    bindings.append(account.name)
    bindings.append(account.passwordHash)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// False when the hash is not the one that was seen any more.
struct SetPassword: Statement {
  static let name = "SetPassword"
  static let sql = "SELECT identity.account_set_password($1, $2, $3)"
  var account: UUID
  var old: String
  var new: String

  func bind(into bindings: inout Bindings) {
    bindings.append(account)
    bindings.append(old)
    bindings.append(new)
  }

  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
