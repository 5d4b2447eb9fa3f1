internal import Logging
internal import Postgres
internal import Synchronization

/// One queue as one worker works it: a task that talks to the database, and one for each job that may run at once.
final class QueueWorker: Sendable {
  let jobs: Jobs
  let queue: String
  let settings: QueueSettings
  private let handlers: [String: JobHandler]
  private let slots: [RunSlot]
  private let metrics: QueueMetrics
  private let state: Mutex<State>
  /// The plan may have changed.
  private let signal = Signal()

  private struct State {
    var desk: Desk
    /// Those without a job to run.
    var idle: [UnsafeContinuation<FetchedJob?, Never>] = []
  }

  init(jobs: Jobs, queue: String, settings: QueueSettings, handlers: [String: JobHandler]) {
    self.jobs = jobs
    self.queue = queue
    self.settings = settings
    self.handlers = handlers
    slots = (0..<settings.concurrency).map { _ in RunSlot() }
    metrics = QueueMetrics(queue: queue)
    state = Mutex(State(desk: Desk(settings: settings, now: .now)))
  }

  /// - Parameter doubt: called when a fetch may have succeeded whose answer was lost.
  func run(doubt: @escaping @Sendable () -> Void) async {
    jobs.doorbells.listen(to: queue, as: self) { [weak self] in self?.ring() }
    defer { jobs.doorbells.dismiss(self) }
    await withTaskGroup(of: RunSlot?.self) { group in
      group.addTask {
        await self.converse(doubt)
        return nil
      }
      for slot in slots { group.addTask { await self.work(in: slot) } }
      // A job was stopped, and with it the task that ran it; the next ones have another.
      for await slot in group {
        if let slot { group.addTask { await self.work(in: slot) } }
      }
    }
  }

  // MARK: Running

  /// Runs job after job. Returns the slot if this task is of no use any more, and nil if there will be no jobs.
  private func work(in slot: RunSlot) async -> RunSlot? {
    while let job = await next() {
      let outcome = await run(job, in: slot)
      let (isHeard, wantsPlan) = state.withLock { state in
        (state.desk.finish(job, outcome, .now), state.desk.wantsPlan)
      }
      if wantsPlan { signal.notify() }
      if !isHeard { metrics.refused(1) }
      if Task.isCancelled { return slot }
    }
    return nil
  }

  private func next() async -> FetchedJob? {
    if let job = state.withLock({ $0.desk.next(.now) }) { return job }
    return await withUnsafeContinuation { continuation in
      let job: FetchedJob?? = state.withLock { state in
        if let job = state.desk.next(.now) { return job }
        if state.desk.isStopping { return .some(nil) }
        state.idle.append(continuation)
        return nil
      }
      if let job { continuation.resume(returning: job) }
    }
  }

  private func run(_ job: FetchedJob, in slot: RunSlot) async -> JobOutcome {
    guard let handler = handlers[job.kind] else {
      // Another release knows it, perhaps.
      jobs.logger.warning("nobody here knows this kind of job", metadata: metadata(job))
      return .snoozed(.seconds(Int64.random(in: 15...45)))
    }
    let started = ContinuousClock.now
    metrics.started(job)
    let outcome = await slot.run(job, handler)
    metrics.ended(job, outcome, after: ContinuousClock.now - started)
    switch outcome {
    case .failed(let failure, let delay):
      jobs.logger.warning(
        "job failed",
        metadata: metadata(job).merging(
          ["error": "\(failure.code): \(failure.message)", "again": "\(delay)"], uniquingKeysWith: { $1 }))
    case .dead(let failure):
      jobs.logger.error(
        "job failed for good",
        metadata: metadata(job).merging(
          ["error": "\(failure.code): \(failure.message)"], uniquingKeysWith: { $1 }))
    case .dropped: jobs.logger.warning("job was lost to another worker", metadata: metadata(job))
    case .succeeded, .completed, .snoozed, .cancelled: break
    }
    return outcome
  }

  private func metadata(_ job: FetchedJob) -> Logger.Metadata {
    ["job": "\(job.id)", "kind": "\(job.kind)", "queue": "\(queue)", "attempt": "\(job.attempt)"]
  }

  /// Gives jobs to those who have none.
  private func handOut() {
    let work = state.withLock { state in
      var work: [(UnsafeContinuation<FetchedJob?, Never>, FetchedJob?)] = []
      while let idle = state.idle.popLast() {
        if let job = state.desk.next(.now) {
          work.append((idle, job))
        } else if state.desk.isStopping {
          work.append((idle, nil))
        } else {
          state.idle.append(idle)
          break
        }
      }
      return work
    }
    for (idle, job) in work { idle.resume(returning: job) }
  }

  // MARK: Talking to the database

  private func converse(_ doubt: @Sendable () -> Void) async {
    var fetcher = Fetcher(queue: queue, poll: settings.poll, now: .now)
    var failures = 0
    while true {
      switch state.withLock({ $0.desk.plan(.now) }) {
      case .stop: return
      case .wait(let until):
        // Nobody waits in a task that is cancelled; and there, nothing can be said any more either.
        if Task.isCancelled { return }
        await signal.wait(until: until)
      case .send(let worker, let said, let most):
        do {
          let answer = try await fetcher.send(said, fetch: most, as: worker, on: jobs.postgres)
          failures = 0
          take(answer, said, worker)
          // The stager may sleep for longer than these do.
          if said.settlements.contains(where: { $0.delay > .zero }) {
            jobs.doorbells.ring(Doorbells.schedule)
          }
          if !said.limitKeys.isEmpty { try await unblock(said.limitKeys) }
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
      state.desk.acknowledged()
      if let fetched = answer.fetched {
        state.desk.fetched(
          fetched.jobs, mayHaveMore: fetched.mayHaveMore, heldBack: fetched.heldBack,
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
  private func unblock(_ keys: [String: Int]) async throws {
    let unblock = UnblockJobs(keys: Array(keys.keys), counts: keys.values.map { Int32($0) })
    if let unblocked = try await jobs.postgres.executeOne(unblock, tenant: nil) {
      jobs.wake(unblocked.queues)
    }
  }

  // MARK: Events

  func ring() {
    state.withLock { $0.desk.ring() }
    signal.notify()
  }

  func enlisted(_ worker: Int64) {
    state.withLock { $0.desk.enlisted(worker) }
    signal.notify()
  }

  /// Stops everything: it is another's. Returns what has ended and was not said.
  func lost() -> Acknowledgements {
    let unsaid = state.withLock { $0.desk.lost() }
    stopRunning(.lost)
    return unsaid
  }

  func cancel(_ job: UUID) {
    if state.withLock({ $0.desk.cancel(job, .now) }) {
      signal.notify()
    } else {
      for slot in slots { slot.stop(.cancelled, job) }
    }
  }

  func stop(giveUpAt: ContinuousClock.Instant) {
    state.withLock { $0.desk.stop(giveUpAt: giveUpAt, .now) }
    handOut()
    signal.notify()
  }

  func stopRunning(_ reason: StopReason) {
    for slot in slots { slot.stop(reason) }
  }

  func expire(_ now: ContinuousClock.Instant) {
    for slot in slots { slot.expire(now) }
  }

  func takeProgress() -> [(job: UUID, share: Double)] { slots.compactMap { $0.takeProgress() } }

  /// The jobs that the database may think are run here. Slots come first: a job that leaves one meanwhile is found among
  /// those to be acknowledged.
  var known: [UUID] {
    let running = slots.compactMap(\.job)
    return running + state.withLock { $0.desk.known }
  }

  var isBusy: Bool { state.withLock { $0.desk.busy > 0 } }
}
