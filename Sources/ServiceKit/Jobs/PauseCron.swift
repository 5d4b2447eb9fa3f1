internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func pauseCron(_ request: PauseCronRequest, _ context: CallContext) async throws -> Cron {
    let isKnown = try await jobs.pauseCron(request.name, isPaused: true)
    guard isKnown, let cron = try await jobs.crons().first(where: { $0.name == request.name }) else {
      throw JobsAdminError.noCron(request.name).rpcError
    }
    return Cron(cron)
  }
}
