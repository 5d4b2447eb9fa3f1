import MainstreetAPI
import Postgres
import RPC

extension StoreService {
  func recordPolls(
    _ request: RecordPollsRequest, _ context: CallContext
  ) async throws -> RecordPollsResponse {
    let tenant = try tenant(of: context)
    let now = now()
    var results: [PollResult] = []
    var polls: [NewPoll] = []
    var indices: [Int] = []
    for (index, poll) in request.polls.enumerated() {
      let store = try id(poll.storeId, field: "polls[\(index)].store_id")
      do throws(PollError) {
        polls.append(
          try NewPoll(store: store, status: poll.status, timestamp: poll.timestamp, now: now))
        indices.append(index)
        results.append(PollResult(index: Int32(index)))
      } catch {
        results.append(PollResult(index: index, rejected: error))
      }
    }
    let known = try await upsert(polls, tenant: tenant, context)
    for ((index, poll), outcome) in zip(zip(indices, polls), known.outcomes(of: polls)) {
      if let outcome {
        results[index].outcome = outcome
      } else {
        results[index] = PollResult(index: index, rejected: .unknownStore(poll.store))
      }
    }
    countReplacedPolls(results.count { $0.outcome == .replaced })
    return RecordPollsResponse(results: results)
  }
}

extension PollResult {
  init(index: Int, rejected error: PollError) {
    self.init(
      index: Int32(index), outcome: .rejected, code: error.rejection.code, message: error.rejection.message)
  }
}
