internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func listDeadJobGroups(_ request: ListDeadJobGroupsRequest, _ context: CallContext) async throws
    -> ListDeadJobGroupsResponse
  {
    let filter = try LibraryDeadJobFilter(request.filter, tenant: tenant(of: context))
    let groups = try await jobs.deadGroups(filter)
    return ListDeadJobGroupsResponse(groups: groups.map { DeadJobGroup($0) })
  }
}
