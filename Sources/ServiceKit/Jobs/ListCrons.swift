internal import Jobs
package import MainstreetAPI
package import RPC

extension JobsAdmin {
  package func listCrons(_ request: ListCronsRequest, _ context: CallContext) async throws
    -> ListCronsResponse
  {
    ListCronsResponse(crons: try await jobs.crons().map { Cron($0) })
  }
}
