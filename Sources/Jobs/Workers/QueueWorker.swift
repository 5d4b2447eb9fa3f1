internal import Logging
internal import Postgres
internal import Synchronization

/// One queue as one worker works it: a task that talks to the database, and one for each job that may run at once.
final class QueueWorker: Sendable {
  let jobs: Jobs
  let queue: String
  let settings: QueueSettings
  private let handlers: [String: JobHandler]
  let slots: [RunSlot]
  let metrics: QueueMetrics
  let state: Mutex<State>
  /// The plan may have changed.
  let signal = Signal()

  struct State {
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
    if let job = state.withLock({ $0.desk.next() }) { return job }
    return await withUnsafeContinuation { continuation in
      let job: FetchedJob?? = state.withLock { state in
        if let job = state.desk.next() { return job }
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
    if job.isSuspect {
      do {
        let begin = BeginJob(worker: job.worker, job: job.id, attempt: job.attempt)
        guard try await jobs.postgres.executeOne(begin, tenant: nil) == true else { return .dropped }
      } catch {
        // If it brought this worker down now, nobody would know.
        jobs.logger.warning(
          "cannot begin a job",
          metadata: metadata(job).merging(["error": "\(error)"], uniquingKeysWith: { $1 }))
        return .snoozed(.seconds(1))
      }
    }
    let started = ContinuousClock.now
    metrics.started(job)
    let outcome = await slot.run(job, handler) { [self] in state.withLock { $0.desk.isOurs(job) } }
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
  func handOut() {
    let work = state.withLock { state in
      var work: [(UnsafeContinuation<FetchedJob?, Never>, FetchedJob?)] = []
      while let idle = state.idle.popLast() {
        if let job = state.desk.next() {
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

  /// The jobs that the database may think are run here.
  var known: [UUID] { state.withLock { $0.desk.known } }

  var isBusy: Bool { state.withLock { $0.desk.busy > 0 } }
}
