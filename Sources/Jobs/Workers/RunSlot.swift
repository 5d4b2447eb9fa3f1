internal import Postgres
internal import Synchronization

/// A place where one job at a time is run, by one task that takes job after job; seen by those who watch over it.
///
/// A job has no task of its own, since making one costs as much as all the rest. So the task that runs jobs is itself
/// cancelled to stop a job, and another takes its place.
final class RunSlot: Sendable {
  private struct State {
    var job: UUID?
    var deadline = ContinuousClock.Instant.now
    var stop: StopReason?
    var isCompleted = false
    var progress = 0.0
    var hasProgressed = false
    /// The task that runs the job: valid for as long as there is a job.
    var task: UnsafeCurrentTask?
  }

  // An UnsafeCurrentTask may be cancelled from anywhere while its task lives, and it outlives its job.
  private struct Guarded: @unchecked Sendable { var state = State() }
  private let guarded = Mutex(Guarded())

  /// Runs the job to its end, whatever that is.
  /// - Parameter isOurs: whether the job is still the worker's. Asked when the job can be stopped from outside: if it was
  ///   lost before, nobody has stopped it.
  func run(_ job: FetchedJob, _ handler: JobHandler, isOurs: () -> Bool) async -> JobOutcome {
    let deadline = ContinuousClock.now + handler.options.timeout
    begin(job, deadline)
    guard isOurs() else {
      _ = end()
      return .dropped
    }
    let context = JobContext(
      id: job.id, attempt: Int(job.attempt), failures: job.failed, tenant: job.tenant, deadline: deadline,
      worker: job.worker, slot: self)
    do {
      try await handler.run(job.payload, context)
      let end = end()
      return end.isCompleted ? .completed : end.stop == .lost ? .dropped : .succeeded
    } catch {
      let end = end()
      if end.isCompleted { return .completed }
      // Nobody stopped this job, but the task that runs it is cancelled: all of the process is to stop.
      let stop = end.stop ?? (Task.isCancelled ? .shutdown : nil)
      var random = SystemRandomNumberGenerator()
      return JobOutcome(error, stop: stop, job: job, options: handler.options, random: &random)
    }
  }

  private func begin(_ job: FetchedJob, _ deadline: ContinuousClock.Instant) {
    withUnsafeCurrentTask { task in
      let holder = TaskHolder(task: task)
      guarded.withLock {
        $0.state = State(job: job.id, deadline: deadline, task: holder.task)
      }
    }
  }

  private func end() -> (stop: StopReason?, isCompleted: Bool) {
    guarded.withLock { guarded in
      defer { guarded.state = State() }
      return (guarded.state.stop, guarded.state.isCompleted)
    }
  }

  // MARK: From the handler

  func report(_ share: Double, of job: UUID) {
    guarded.withLock { guarded in
      guard guarded.state.job == job else { return }
      guarded.state.progress = share
      guarded.state.hasProgressed = true
    }
  }

  func completed(_ job: UUID) {
    guarded.withLock { if $0.state.job == job { $0.state.isCompleted = true } }
  }

  // MARK: From outside

  /// How far the job is, if it has said so since this was last asked.
  func takeProgress() -> (job: UUID, share: Double)? {
    guarded.withLock { guarded in
      guard let job = guarded.state.job, guarded.state.hasProgressed else { return nil }
      guarded.state.hasProgressed = false
      return (job, guarded.state.progress)
    }
  }

  /// Cancels whatever is being run.
  func stop(_ reason: StopReason) {
    guarded.withLock { stop(reason, &$0.state) }
  }

  /// Cancels this job, if it is still the one being run.
  func stop(_ reason: StopReason, _ job: UUID) {
    guarded.withLock { if $0.state.job == job { stop(reason, &$0.state) } }
  }

  /// Cancels the job if its time is up.
  func expire(_ now: ContinuousClock.Instant) {
    guarded.withLock { if $0.state.deadline <= now { stop(.timeout, &$0.state) } }
  }

  private func stop(_ reason: StopReason, _ state: inout State) {
    guard state.job != nil else { return }
    // That the job is another's weighs more than whatever else it was stopped for.
    if state.stop == nil || reason == .lost { state.stop = reason }
    state.task?.cancel()
  }
}

/// Carries a task's handle into a closure that wants everything sendable.
private struct TaskHolder: @unchecked Sendable {
  let task: UnsafeCurrentTask?
}
