internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func resumeQueue(_ request: ResumeQueueRequest, _ context: CallContext) async throws -> JobQueue {
    _ = try await status(of: request.queue)
    try await jobs.resume(request.queue)
    return JobQueue(try await status(of: request.queue))
  }
}
