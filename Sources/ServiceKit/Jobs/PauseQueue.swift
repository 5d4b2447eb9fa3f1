internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func pauseQueue(_ request: PauseQueueRequest, _ context: CallContext) async throws -> JobQueue {
    _ = try await status(of: request.queue)
    try await jobs.pause(request.queue)
    return JobQueue(try await status(of: request.queue))
  }
}
