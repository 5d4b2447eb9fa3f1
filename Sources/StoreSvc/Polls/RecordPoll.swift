import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension StoreService {
  func recordPoll(_ request: RecordPollRequest, _ context: CallContext) async throws -> RecordPollResponse {
    let tenant = try tenant(of: context)
    let poll = try newPoll(request)
    let known = try await upsert([poll], tenant: tenant, context)
    guard let outcome = known.outcomes(of: [poll])[0] else {
      throw PollError.unknownStore(poll.store).rpcError
    }
    if outcome == .replaced { countReplacedPolls(1) }
    if outcome != .recorded { context.setInitialMetadata("http-status", "200") }
    return RecordPollResponse(
      storeId: request.storeId, status: request.status, timestamp: Timestamp(poll.at), outcome: outcome)
  }

  private func newPoll(_ request: RecordPollRequest) throws(RPCError) -> NewPoll {
    let store = try id(request.storeId, field: "store_id")
    do throws(PollError) {
      return try NewPoll(store: store, status: request.status, timestamp: request.timestamp, now: now())
    } catch {
      throw error.rpcError
    }
  }
}
