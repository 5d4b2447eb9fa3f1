internal import Logging
internal import Postgres

/// Brings jobs to where workers see them: those whose time has come, and those whose limit has room again. Every worker
/// process has one; they share the work by skipping what another has in hand.
final class Stager: Sendable {
  private let jobs: Jobs
  private let signal = Signal()

  private static let most: Int32 = 1000
  private static let mostKeys: Int32 = 100
  private static let longestPause = Duration.seconds(1)
  private static let shortestPause = Duration.milliseconds(5)

  init(jobs: Jobs) { self.jobs = jobs }

  func run() async {
    jobs.doorbells.listen(to: Doorbells.schedule, as: self) { [signal] in signal.notify() }
    await withDiscardingTaskGroup { group in
      group.addTask { await self.stage() }
      group.addTask { await self.unblock() }
    }
    jobs.doorbells.dismiss(self)
  }

  private func stage() async {
    var floors = ScanFloors(count: 1, start: PostgresTimestamp.negativeInfinity, now: .now)
    while !Task.isCancelled {
      var pause = Self.longestPause
      do {
        let now = ContinuousClock.now
        let (since, depth) = floors.floors(now)
        let stage = StageJobs(most: Self.most, since: since[0])
        if let staged = try await jobs.postgres.executeOne(stage, tenant: nil) {
          floors.looked(depth, took: .now - now, .now)
          if let reached = staged.reached { floors.taken(0, upTo: reached) }
          jobs.wake(staged.queues)
          if staged.moved == Self.most { continue }
          if let next = staged.nextIn { pause = min(pause, max(Self.shortestPause, .seconds(next))) }
        }
      } catch {
        if Task.isCancelled { return }
        jobs.logger.warning("cannot look for jobs that are due", metadata: ["error": "\(error)"])
      }
      if pause == Self.longestPause { pause = pause * Double.random(in: 0.75...1) }
      await signal.wait(until: .now + pause)
    }
  }

  /// Those that finish a job let in the next with its key. This is for what nobody's finishing tells: a rate that has
  /// recovered, a limit that was raised, a worker that died.
  private func unblock() async {
    var after = ""
    while !Task.isCancelled {
      var pause = Self.longestPause * Double.random(in: 0.75...1)
      do {
        let unblock = UnblockJobsAfter(after: after, most: Self.mostKeys)
        if let (unblocked, reached) = try await jobs.postgres.executeOne(unblock, tenant: nil) {
          jobs.wake(unblocked.queues)
          after = reached ?? ""
          if let next = unblocked.nextIn { pause = min(pause, max(Self.shortestPause, .seconds(next))) }
          if reached != nil { pause = Self.shortestPause }
        }
      } catch {
        if Task.isCancelled { return }
        jobs.logger.warning("cannot look for jobs whose limit has room", metadata: ["error": "\(error)"])
      }
      try? await Task.sleep(for: pause)
    }
  }
}
