internal import Jobs
internal import MainstreetAPI
internal import Postgres

// What the library tells, as the contract says it. Where both have the same name, `MainstreetAPI.` says which is meant.

extension JobState {
  init(_ station: JobStation) {
    self =
      switch station {
      case .scheduled: .scheduled
      case .ready: .ready
      case .blocked: .blocked
      case .running: .running
      case .succeeded: .succeeded
      case .dead: .dead
      case .cancelled: .cancelled
      }
  }
}

extension JobFailure {
  /// - Parameter whole: for whoever runs the service; others are told what was written for them.
  init(_ run: FailedRun, whole: Bool) {
    self.init(
      attempt: Int32(clamping: run.attempt), at: Timestamp(run.at),
      tookMs: Int64(run.took / .milliseconds(1)),
      code: run.code, message: whole || run.isTold ? run.message : Self.untold)
  }

  private static let untold = "the job failed for a reason inside the service"
}

extension Job {
  init(_ id: UUID, _ status: JobStatus, whole: Bool) {
    self.init(
      jobId: id.description, state: JobState(status.station), queue: status.queue, kind: status.kind,
      tenantId: status.tenant?.description, attempts: Int32(clamping: status.attempt),
      createdAt: Timestamp(status.createdAt), runAt: status.runAt.map { Timestamp($0) },
      startedAt: status.startedAt.map { Timestamp($0) }, finishedAt: status.finishedAt.map { Timestamp($0) },
      progress: status.progress, isCancelRequested: status.isCancelRequested,
      failures: status.failures.map { JobFailure($0, whole: whole) })
  }
}

extension JobQueue {
  init(_ queue: QueueStatus) {
    self.init(
      queue: queue.name, isPaused: queue.isPaused,
      maxRunning: queue.limit.running.map { Int32(clamping: $0) },
      ratePerSecond: queue.limit.rate?.perSecond, burst: queue.limit.rate?.burst,
      counts: queue.counts.map {
        JobCount(state: JobState($0.station), jobs: $0.jobs, oldestSeconds: $0.oldest / .seconds(1))
      })
  }
}

extension MainstreetAPI.DeadJob {
  init(_ job: LibraryDeadJob, whole: Bool) {
    self.init(
      jobId: job.id.description, queue: job.queue, kind: job.kind, tenantId: job.tenant?.description,
      attempts: Int32(clamping: job.attempts), createdAt: Timestamp(job.createdAt),
      diedAt: Timestamp(job.diedAt), errorCode: job.errorCode, redrives: Int32(clamping: job.redrives),
      payload: job.payload.text, failures: job.failures.map { JobFailure($0, whole: whole) })
  }
}

extension MainstreetAPI.DeadJobGroup {
  init(_ group: LibraryDeadJobGroup) {
    self.init(
      kind: group.kind, errorCode: group.errorCode, jobs: Int64(group.jobs),
      firstDiedAt: Timestamp(group.firstDiedAt), lastDiedAt: Timestamp(group.lastDiedAt))
  }
}

extension Cron {
  init(_ cron: CronStatus) {
    self.init(
      name: cron.name, expression: cron.expression, timezone: cron.timezone,
      nextAt: cron.nextAt == .infinity ? nil : Timestamp(cron.nextAt),
      lastAt: cron.lastAt.map { Timestamp($0) }, isPaused: cron.isPaused)
  }
}
