import MainstreetAPI
import Postgres

/// What the log tells of. The names are kept for ever: they are what people search for.
enum AuditAction: String, Sendable, CaseIterable {
  case tenantCreated = "tenant.created"
  case tenantUpdated = "tenant.updated"
  case accountCreated = "account.created"
  case platformAdminCreated = "platform_admin.created"
  case platformAdminEntered = "platform_admin.entered"
  case signInSucceeded = "sign_in.succeeded"
  case signInFailed = "sign_in.failed"
  case signInLocked = "sign_in.locked"
  case passwordChanged = "password.changed"
  case sessionEnded = "session.ended"
  case sessionReused = "session.reused"
  case memberAdded = "member.added"
  case memberUpdated = "member.updated"
  case memberRemoved = "member.removed"
  case invitationCreated = "invitation.created"
  case invitationRevoked = "invitation.revoked"
  case invitationAccepted = "invitation.accepted"
  case apiKeyCreated = "api_key.created"
  case apiKeyRotated = "api_key.rotated"
  case apiKeyRevoked = "api_key.revoked"
  case signingKeyCreated = "signing_key.created"
  case signingKeysWithdrawn = "signing_key.withdrawn"
}

extension Transaction {
  /// Adds an event to the log, to last if the act does.
  /// - Parameters:
  ///   - tenant: whose log it is; the transaction acts for it.
  ///   - target: what it was done to, e.g. `key:<uuid>`.
  ///   - details: what else there is to say. No secrets.
  func audit(
    _ action: AuditAction, in tenant: UUID, by caller: Caller, actor: String? = nil, target: String = "",
    details: [String: String] = [:], now: Instant
  ) async throws {
    try await executeCount(
      InsertAuditEvent(
        tenant: tenant, id: .v7(now: now), at: now, action: action,
        actor: actor ?? caller.actor,
        target: target,
        address: caller.address, requestID: caller.requestID, details: details.sorted { $0.key < $1.key }))
  }
}

struct InsertAuditEvent: Statement {
  static let name = "InsertAuditEvent"
  static let sql = """
    INSERT INTO identity.audit_events (tenant_id, event_id, at, action, actor, target, address, request_id, details)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, jsonb_object($9, $10))
    """
  var tenant: UUID
  var id: UUID
  var at: Instant
  var action: AuditAction
  var actor: String
  var target: String
  var address: String
  var requestID: String
  var details: [(key: String, value: String)]

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(id)
    bindings.append(at)
    bindings.append(action.rawValue)
    bindings.append(actor)
    bindings.append(target)
    bindings.append(address)
    bindings.append(requestID)
    bindings.append(details.map(\.key))
    bindings.append(details.map(\.value))
  }
}
