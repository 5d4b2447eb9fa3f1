import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  /// A platform admin who acts in no tenant reads what belongs to none.
  func listAuditEvents(_ request: ListAuditEventsRequest, _ context: CallContext) async throws
    -> ListAuditEventsResponse
  {
    let principal = try context.principal
    let tenant =
      Caller(context).isPlatformAdmin ? principal.tenantID ?? .noTenant : try principal.actingTenant()
    let limit = request.limit == 0 ? 50 : Int(request.limit)
    let found = try await postgres.execute(
      ListAuditEventsPage(
        tenant: tenant, before: try IDCursor.auditEvents.id(request.cursor) ?? .last,
        action: request.action.isEmpty ? nil : request.action, most: limit + 1),
      tenant: tenant, deadline: context.deadline)
    let page = page(found, limit: limit, cursor: .auditEvents, id: \.id)
    return ListAuditEventsResponse(events: page.elements, nextCursor: page.next)
  }
}

struct ListAuditEventsPage: Statement {
  static let name = "ListAuditEventsPage"
  static let sql = """
    SELECT event_id, action, actor, target, address, request_id, details::text, at FROM identity.audit_events
    WHERE tenant_id = $1 AND event_id < $2 AND ($3::text IS NULL OR action = $3)
    ORDER BY event_id DESC LIMIT $4
    """
  static let isIdempotent = true
  var tenant: UUID
  var before: UUID
  var action: String?
  var most: Int

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(before)
    bindings.append(action)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> AuditEvent {
    AuditEvent(
      id: try row.next(UUID.self).description, action: try row.next(), actor: try row.next(),
      target: try row.next(), address: try row.next(), requestId: try row.next(), details: try row.next(),
      at: Timestamp(try row.next(Instant.self)))
  }
}
