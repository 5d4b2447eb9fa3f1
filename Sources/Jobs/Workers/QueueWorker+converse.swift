internal import Logging
internal import Postgres
internal import Synchronization

/// Talking to the database: one request at a time, each with whatever is to be said and asked by then.
extension QueueWorker {
  func converse(_ doubt: @Sendable () -> Void) async {
    var fetcher = Fetcher(queue: queue, poll: settings.poll, now: .now)
    var failures = 0
    while true {
      switch state.withLock({ $0.desk.plan(.now) }) {
      case .stop: return
      case .wait(let until):
        // Nobody waits in a task that is cancelled; and there, nothing can be said any more either.
        if Task.isCancelled { return }
        await signal.wait(until: until)
      case .send(let worker, let said, let most, let mayTakeSuspect):
        do {
          let answer = try await fetcher.send(
            said, fetch: most, mayTakeSuspect: mayTakeSuspect, as: worker, on: jobs.postgres)
          failures = 0
          take(answer, said, worker)
          // The stager may sleep for longer than these do.
          if said.settlements.contains(where: { $0.delay > .zero }) {
            jobs.doorbells.ring(Doorbells.schedule)
          }
          if !said.limitKeys.isEmpty { await unblock(said.limitKeys) }
        } catch {
          if Task.isCancelled { return state.withLock { $0.desk.failed(said, of: worker, retryAt: .now) } }
          jobs.logger.warning("cannot fetch jobs", metadata: ["queue": "\(queue)", "error": "\(error)"])
          if most > 0 { doubt() }
          failures = min(failures + 1, 6)
          let pause = Duration.milliseconds(50 << failures) * Double.random(in: 0.5...1)
          state.withLock { $0.desk.failed(said, of: worker, retryAt: .now + pause) }
        }
      }
    }
  }

  private func take(_ answer: Fetcher.Answer, _ said: Acknowledgements, _ worker: Int64) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.desk.answered(after: answer.took)
      if let fetched = answer.fetched {
        state.desk.fetched(
          fetched.jobs, of: worker, mayHaveMore: fetched.mayHaveMore, heldBack: fetched.heldBack,
          nextPoll: fetched.nextPoll, now)
      }
    }
    handOut()
    guard !answer.refused.isEmpty, !said.isRepeated else { return }
    metrics.refused(answer.refused.count)
    for job in answer.refused {
      jobs.logger.warning(
        "a late acknowledgement was refused",
        metadata: ["job": "\(job)", "queue": "\(queue)", "worker": "\(worker)"])
    }
  }

  /// Lets those in whose limit these jobs have left room in. By itself: whoever held other limits meanwhile might wait
  /// for another who waits for this.
  private func unblock(_ keys: [String: Int]) async {
    let unblock = UnblockJobs(keys: Array(keys.keys), counts: keys.values.map { Int32($0) })
    do {
      let unblocked = try await jobs.postgres.executeOne(unblock, tenant: nil)
      jobs.wake(unblocked?.queues ?? [])
    } catch {
      // The stager comes by soon.
      jobs.logger.debug("cannot let jobs in", metadata: ["queue": "\(queue)", "error": "\(error)"])
    }
  }
}
