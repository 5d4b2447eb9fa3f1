package import Postgres

extension Jobs {
  /// What has died, by kind and error, the most first; at most 1,000 groups.
  package func deadGroups(_ filter: DeadJobFilter = DeadJobFilter()) async throws -> [DeadJobGroup] {
    try await postgres.execute(GroupDeadJobs(filter: filter), tenant: nil)
  }

  /// Dead jobs one by one, in the order in which they died.
  /// - Parameters:
  ///   - previous: where the page before ended.
  ///   - most: 1 to 1000.
  package func dead(
    _ filter: DeadJobFilter = DeadJobFilter(), after previous: DeadJobPlace? = nil, most: Int = 100
  ) async throws -> [DeadJob] {
    try await postgres.execute(
      ListDeadJobs(filter: filter, previous: previous, most: Int32(clamping: min(most, 1000))), tenant: nil)
  }

  /// Has dead jobs run again, from their first attempt, all that match or the first `most`. Each is resolved when it
  /// succeeds, and dead again when it does not. Those whose unique key another job has by now are left as they are, and
  /// so is what dies meanwhile: it may have just been redriven.
  /// - Returns: how many.
  @discardableResult
  package func redrive(_ filter: DeadJobFilter, most: Int = .max) async throws -> Int {
    var filter = filter
    let now = try await postgres.executeOne(ServerTime(), tenant: nil)
    filter.diedBefore = [filter.diedBefore, now].compactMap { $0 }.min()
    var count = 0
    while count < most {
      let page = min(most - count, Self.atOnce)
      let queues = try await postgres.execute(
        RedriveJobs(filter: filter, most: Int32(clamping: page)), tenant: nil)
      wake(Set(queues))
      count += queues.count
      if queues.isEmpty { break }
    }
    return count
  }

  /// A transaction for each so many: whoever asks for a million does not hold as many locks.
  private static var atOnce: Int { 1000 }

  /// Gives a dead job another payload, for when it is run again.
  /// - Parameter payload: JSON, as its kind is encoded.
  /// - Returns: false if there is no such job of the tenant, or it is not dead any more.
  package func edit(_ id: UUID, tenant: UUID?, payload: String) async throws -> Bool {
    try await postgres.executeOne(EditDeadJob(id: id, tenant: tenant, payload: payload), tenant: nil) ?? false
  }

  /// Gives up on dead jobs, the first `most` that match.
  /// - Returns: how many.
  @discardableResult
  package func deleteDead(_ filter: DeadJobFilter, most: Int = .max) async throws -> Int {
    var count = 0
    while count < most {
      let page = min(most - count, Self.atOnce)
      let deleted = try await postgres.executeOne(
        DeleteDeadJobs(filter: filter, most: Int32(clamping: page)), tenant: nil)
      count += Int(deleted ?? 0)
      if deleted ?? 0 == 0 { break }
    }
    return count
  }
}
