import MainstreetAPI
import Postgres
import RPC
import ServiceKit
import TimeZones

/// The rpcs of `mainstreet.identity.v1.IdentityService`. Each is an extension in a file of its own name:
///
/// - Tenants: CreateTenant, GetTenant, UpdateTenant
/// - Accounts: Register, Login, Authenticate, GetCaller, ChangePassword
/// - Sessions: RefreshSession, Logout
/// - SigningKeys: GetKeySet
/// - Members: ListMembers, UpdateMember, RemoveMember
/// - Invitations: CreateInvitation, ListInvitations, RevokeInvitation, AcceptInvitation
/// - ApiKeys: CreateApiKey, ListApiKeys, RotateApiKey, RevokeApiKey
/// - Audit: ListAuditEvents
struct IdentityService: MainstreetAPI.IdentityService {
  let postgres: PostgresClient
  let keys: SigningKeys
  let tokens: AccessTokens
  let passwords: PasswordPool
  let zones: TimeZones
  var policy = IdentityPolicy()
  var now: @Sendable () -> Instant = { .now() }

  /// An id from a request. Validation has seen that it is one.
  func id(_ text: String, field: String) throws(RPCError) -> UUID {
    guard let id = UUID(text) else {
      throw RPCError(
        .invalidArgument, "\(field) is not a UUID", reason: "VALIDATION_FAILED",
        violations: [FieldViolation(field: field, code: "INVALID_UUID", message: "must be a UUID")])
    }
    return id
  }
}

/// What an operator decides about identity.
struct IdentityPolicy: Sendable {
  /// Whether everyone may open a tenant.
  var isSignUpOpen = false
  /// What stands in keys between `msk_` and the random part.
  var keyEnvironment = "live"
  /// How many keys of a tenant may work at a time.
  var mostApiKeys = 100
  /// How many people may have a place in a tenant.
  var mostMembers = 1000
  /// How many invitations of a tenant may be open.
  var mostInvitations = 200
}
