import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func listInvitations(_ request: ListInvitationsRequest, _ context: CallContext) async throws
    -> ListInvitationsResponse
  {
    let tenant = try context.principal.actingTenant()
    let limit = request.limit == 0 ? 50 : Int(request.limit)
    let found = try await postgres.execute(
      ListInvitationsPage(
        tenant: tenant, now: now(), after: try IDCursor.invitations.id(request.cursor), most: limit + 1),
      tenant: tenant, deadline: context.deadline)
    let page = page(found, limit: limit, cursor: .invitations, id: \.id)
    return ListInvitationsResponse(invitations: page.elements, nextCursor: page.next)
  }
}

struct ListInvitationsPage: Statement {
  static let name = "ListInvitationsPage"
  static let sql = """
    SELECT \(InvitationRow.columns) FROM identity.invitations AS i
    WHERE i.tenant_id = $1 AND \(InvitationRow.isOpen) AND i.invitation_id > $3
    ORDER BY i.invitation_id LIMIT $4
    """
  static let isIdempotent = true
  var tenant: UUID
  var now: Instant
  var after: UUID?
  var most: Int

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(now)
    bindings.append(after ?? .noTenant)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> Invitation { try InvitationRow.decode(&row) }
}
