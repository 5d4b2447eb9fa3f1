internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func resumeCron(_ request: ResumeCronRequest, _ context: CallContext) async throws -> Cron {
    let isKnown = try await jobs.pauseCron(request.name, isPaused: false)
    guard isKnown, let cron = try await jobs.crons().first(where: { $0.name == request.name }) else {
      throw JobsAdminError.noCron(request.name).rpcError
    }
    return Cron(cron)
  }
}
