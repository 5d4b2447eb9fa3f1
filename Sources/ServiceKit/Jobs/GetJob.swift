internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func getJob(_ request: GetJobRequest, _ context: CallContext) async throws -> Job {
    let id = try id(request.jobId)
    let tenant = try tenant(of: context)
    guard let status = try await jobs.find(id, tenant: tenant) else {
      throw JobsAdminError.noJob(request.jobId).rpcError
    }
    return Job(id, status, whole: tenant == nil)
  }
}
