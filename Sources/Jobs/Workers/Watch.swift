internal import Logging
internal import Metrics
internal import Postgres

/// Buries workers that have died, so that their jobs are run again.
struct Watch: Sendable {
  let jobs: Jobs
  let settings: WorkerSettings
  /// See `Jobs.lifeline`.
  let postgres: PostgresClient

  func run() async {
    var watch = BeatWatch(pause: settings.beat)
    let buried = Counter(label: "jobs_workers_buried_total")
    while !Task.isCancelled {
      do {
        let workers = try await postgres.execute(WatchWorkers(), tenant: nil)
        for worker in watch.observe(workers, .now) { await bury(worker.worker, stillAt: worker.beat, buried) }
      } catch {
        if Task.isCancelled { return }
        jobs.logger.warning("cannot watch over workers", metadata: ["error": "\(error)"])
      }
      try? await Task.sleep(for: watch.untilNext)
    }
  }

  /// If one cannot be buried, the others still are.
  private func bury(_ worker: Int64, stillAt beat: Int64, _ buried: Counter) async {
    do {
      let bury = BuryWorker(worker: worker, stillAt: beat)
      guard let count = try await postgres.executeOne(bury, tenant: nil) ?? nil else { return }
      buried.increment()
      jobs.logger.warning(
        "a worker died; its jobs are run again", metadata: ["worker": "\(worker)", "jobs": "\(count)"])
    } catch {
      if Task.isCancelled { return }
      jobs.logger.warning(
        "cannot bury a worker that died", metadata: ["worker": "\(worker)", "error": "\(error)"])
    }
  }
}
