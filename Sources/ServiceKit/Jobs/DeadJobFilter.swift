internal import Jobs
internal import MainstreetAPI
internal import Postgres
internal import RPC

extension LibraryDeadJobFilter {
  /// - Parameter tenant: whose jobs the caller may mean; nil for everybody's.
  init(_ filter: MainstreetAPI.DeadJobFilter?, tenant: UUID?) throws(RPCError) {
    self.init()
    self.tenant = tenant
    guard let filter else { return }
    if let asked = filter.tenantId {
      guard tenant == nil else { throw JobsAdminError.foreignTenant.rpcError }
      guard let asked = UUID(asked) else { throw JobsAdminError.badID("filter.tenant_id").rpcError }
      self.tenant = asked
    }
    if !filter.jobIds.isEmpty {
      var ids: [UUID] = []
      for (index, text) in filter.jobIds.enumerated() {
        guard let id = UUID(text) else { throw JobsAdminError.badID("filter.job_ids[\(index)]").rpcError }
        ids.append(id)
      }
      self.ids = ids
    }
    kind = filter.kind
    errorCode = filter.errorCode
    diedFrom = try Self.time(filter.diedFrom, "filter.died_from")
    diedBefore = try Self.time(filter.diedBefore, "filter.died_before")
  }

  /// For what changes them: nobody means all that ever failed by leaving something out.
  init(saying filter: MainstreetAPI.DeadJobFilter?, tenant: UUID?) throws(RPCError) {
    guard filter != nil, filter != MainstreetAPI.DeadJobFilter() else {
      throw JobsAdminError.emptyFilter.rpcError
    }
    try self.init(filter, tenant: tenant)
  }

  private static func time(_ timestamp: Timestamp?, _ field: String) throws(RPCError) -> PostgresTimestamp? {
    guard let timestamp else { return nil }
    guard (0..<253_402_300_800).contains(timestamp.seconds),
      let time = PostgresTimestamp(seconds: timestamp.seconds, nanoseconds: timestamp.nanos)
    else { throw JobsAdminError.badTime(field).rpcError }
    return time
  }
}
