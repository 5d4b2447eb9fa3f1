internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  /// In batches; when the call ends early, those that were deleted by then are gone.
  package func deleteDeadJobs(_ request: DeleteDeadJobsRequest, _ context: CallContext) async throws
    -> DeleteDeadJobsResponse
  {
    let filter = try LibraryDeadJobFilter(saying: request.filter, tenant: tenant(of: context))
    return DeleteDeadJobsResponse(deleted: Int64(try await jobs.deleteDead(filter)))
  }
}
