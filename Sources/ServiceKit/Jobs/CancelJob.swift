internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func cancelJob(_ request: CancelJobRequest, _ context: CallContext) async throws
    -> CancelJobResponse
  {
    switch try await jobs.cancel(id(request.jobId), tenant: tenant(of: context)) {
    case .cancelled: CancelJobResponse(outcome: .cancelled)
    case .requested: CancelJobResponse(outcome: .requested)
    case .finished: CancelJobResponse(outcome: .finished)
    case .unknown: throw JobsAdminError.noJob(request.jobId).rpcError
    }
  }
}
