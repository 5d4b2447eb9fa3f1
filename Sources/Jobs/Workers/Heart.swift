internal import Logging
internal import NIOCore
internal import Postgres
internal import Synchronization

/// Keeps a worker on the list of the living. One that cannot say that it lives stops what it runs before others may take
/// it for dead, and then enlists anew.
final class Heart: Sendable {
  private struct State {
    /// On the list as this, or was until it was lost.
    var worker: Int64?
    var isLost = false
    var pulse: Pulse
    /// What it could not say any more before it was lost.
    var unsaid: [Acknowledgements] = []
    /// Until when jobs may turn up that were fetched and never heard of.
    var doubtUntil = ContinuousClock.now
  }

  let jobs: Jobs
  let settings: WorkerSettings
  let queues: [QueueWorker]
  /// To beat at once: somebody cancels a job.
  let signal = Signal()
  private let name: String
  private let state: Mutex<State>

  init(jobs: Jobs, settings: WorkerSettings, queues: [QueueWorker], name: String) {
    self.jobs = jobs
    self.settings = settings
    self.queues = queues
    self.name = name
    state = Mutex(State(pulse: Pulse(settings: settings, now: .now)))
  }

  /// - Parameter postgres: see `Jobs.lifeline`.
  func run(on postgres: PostgresClient) async {
    while !Task.isCancelled {
      do {
        if let worker = state.withLock({ $0.isLost ? nil : $0.worker }) {
          try await beat(as: worker, on: postgres)
        } else {
          try await enlist(on: postgres)
        }
      } catch {
        if Task.isCancelled { return }
        state.withLock { $0.pulse.failed() }
        jobs.logger.warning("cannot say that this worker lives", metadata: ["error": "\(error)"])
      }
      await signal.wait(until: .now + state.withLock { $0.pulse.pause })
    }
  }

  /// Stops everything if nothing has been heard for too long. To be asked often.
  func check(_ now: ContinuousClock.Instant) {
    let isSilent = state.withLock { state in
      state.worker != nil && !state.isLost && state.pulse.isSilent(now)
    }
    if isSilent { lose("it could not say that it lives") }
  }

  /// A fetch may have succeeded whose answer was lost.
  func doubt() { state.withLock { $0.doubtUntil = .now + Self.doubt } }

  /// Leaves the list, and what has not ended to other workers.
  func leave(on postgres: PostgresClient) async {
    guard let worker = state.withLock({ $0.worker }) else { return }
    await tell(worker, queues.map { $0.lost() }, on: postgres)
    do {
      _ = try await postgres.execute(BuryWorker(worker: worker, stillAt: nil), tenant: nil)
    } catch {
      jobs.logger.warning("cannot leave the list of workers", metadata: ["error": "\(error)"])
    }
  }

  // MARK: Steps

  private func enlist(on postgres: PostgresClient) async throws {
    if let former = state.withLock({ $0.worker }) {
      // Its jobs have been told to stop, and are given back as they are rather than as a dead worker's.
      await tell(former, state.withLock { $0.unsaid }, on: postgres)
      _ = try await postgres.execute(BuryWorker(worker: former, stillAt: nil), tenant: nil)
      state.withLock { ($0.worker, $0.unsaid) = (nil, []) }
    }
    let now = ContinuousClock.now
    let enlist = EnlistWorker(worker: name, lease: settings.lease)
    guard let worker = try await postgres.executeOne(enlist, tenant: nil) else { return }
    state.withLock { state in
      state.worker = worker
      state.isLost = false
      state.pulse.heard(sentAt: now)
    }
    for queue in queues { queue.enlisted(worker) }
  }

  private func beat(as worker: Int64, on postgres: PostgresClient) async throws {
    let now = ContinuousClock.now
    let beat = Beat(worker: worker, progress: queues.flatMap { $0.takeProgress() })
    let deadline = NIODeadline.now() + TimeAmount(state.withLock { $0.pulse.patience(now) })
    guard let cancelled = try await postgres.executeOne(beat, tenant: nil, deadline: deadline) else {
      lose("others took it for dead")
      return signal.notify()
    }
    state.withLock { $0.pulse.heard(sentAt: now) }
    for job in cancelled { for queue in queues { queue.cancel(job) } }
    if state.withLock({ $0.doubtUntil > now }) { try await reclaim(as: worker, on: postgres) }
  }

  /// So long after a fetch has gone astray the server has certainly given up on it.
  private static let doubt = Duration.seconds(120)
  private static let settled = Duration.seconds(30)

  private func reclaim(as worker: Int64, on postgres: PostgresClient) async throws {
    let known = queues.flatMap(\.known)
    let reclaim = ReclaimJobs(worker: worker, known: known, since: Self.settled)
    let count = try await postgres.executeOne(reclaim, tenant: nil) ?? 0
    if count > 0 {
      jobs.logger.notice(
        "gave back jobs that were fetched over a broken connection", metadata: ["jobs": "\(count)"])
    }
  }

  private func lose(_ reason: String) {
    guard state.withLock({ !$0.isLost }) else { return }
    jobs.logger.error("this worker stops what it runs", metadata: ["reason": "\(reason)"])
    let unsaid = queues.map { $0.lost() }
    state.withLock { state in
      state.isLost = true
      state.unsaid += unsaid
    }
  }

  /// Tries to say what has ended before the worker is off the list.
  private func tell(
    _ worker: Int64, _ acknowledgements: [Acknowledgements], on postgres: PostgresClient
  ) async {
    for said in acknowledgements where said.count > 0 {
      do {
        _ = try await postgres.executeBatch(
          FinishJobs(worker: worker, jobs: said.finished, attempts: said.attempts),
          SettleJobs(worker: worker, settlements: said.settlements), tenant: nil)
      } catch {
        jobs.logger.warning("jobs that have ended will be run again", metadata: ["error": "\(error)"])
      }
    }
  }
}

extension TimeAmount {
  init(_ duration: Duration) { self = .nanoseconds(Int64(duration / .nanoseconds(1))) }
}
