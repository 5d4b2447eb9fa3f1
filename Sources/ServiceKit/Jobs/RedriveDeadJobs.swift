internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  /// In batches; when the call ends early, those that were redriven by then stay so.
  package func redriveDeadJobs(_ request: RedriveDeadJobsRequest, _ context: CallContext) async throws
    -> RedriveDeadJobsResponse
  {
    let filter = try LibraryDeadJobFilter(saying: request.filter, tenant: tenant(of: context))
    return RedriveDeadJobsResponse(redriven: Int64(try await jobs.redrive(filter)))
  }
}
