import MainstreetAPI
import Postgres
import RPC
import ServiceKit

/// Why something about an invitation cannot be done.
enum InvitationError: Error, Hashable {
  case notFound
  case unknownToken
  case expired
  case closed
  case tooMany(Int)

  var rpcError: RPCError {
    switch self {
    case .notFound: RPCError(.notFound, "there is no such invitation", reason: "INVITATION_NOT_FOUND")
    case .unknownToken:
      RPCError(.notFound, "the invitation's token is not known", reason: "INVALID_INVITATION")
    case .expired: RPCError(.failedPrecondition, "the invitation is too old", reason: "INVITATION_EXPIRED")
    case .closed:
      RPCError(
        .failedPrecondition, "the invitation has been taken or withdrawn", reason: "INVITATION_CLOSED")
    case .tooMany(let most):
      RPCError(
        .failedPrecondition, "a tenant has no more than \(most) open invitations",
        reason: "TOO_MANY_INVITATIONS")
    }
  }
}

/// An invitation as the statements of this folder read it, of a table or row `i`.
enum InvitationRow {
  static let columns = "i.invitation_id, i.email, i.role, i.created_at, i.expires_at"

  /// Neither taken nor withdrawn, and not too old by `$2`.
  static let isOpen = "i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $2"

  static func decode(_ row: inout RowReader) throws -> Invitation {
    Invitation(
      id: try row.next(UUID.self).description, email: try row.next(), role: Role(stored: try row.next()),
      createdAt: Timestamp(try row.next(Instant.self)), expiresAt: Timestamp(try row.next(Instant.self)))
  }
}
