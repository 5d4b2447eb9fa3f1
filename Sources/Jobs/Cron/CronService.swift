package import Logging
internal import Postgres
internal import ServiceLifecycle
package import TimeZones

/// Adds cron jobs when their time comes. Every process of a service has one, and for each time exactly one of them adds
/// the job: whoever moves its entry in the database on, in the transaction that adds it.
package struct CronService: Service {
  private let jobs: Jobs
  private let schedules: [String: Schedule]
  private let logger: Logger

  private struct Schedule {
    let job: CronJob
    let zone: TimeZoneRules
  }

  private static let longestPause = Duration.seconds(30)
  private static let shortestPause = Duration.milliseconds(10)
  private static let pauseAfterFailure = Duration.seconds(1)

  /// - Throws: `TimeZones.Unknown` for a zone that is not installed; `CronError` for a name given twice.
  package init(jobs: Jobs, crons: [CronJob], timeZones: TimeZones, logger: Logger) throws {
    self.jobs = jobs
    self.logger = logger
    var schedules: [String: Schedule] = [:]
    for cron in crons {
      guard schedules[cron.name] == nil else { throw CronError("two cron jobs are called \(cron.name)") }
      schedules[cron.name] = Schedule(job: cron, zone: try timeZones.rules(cron.timezone))
    }
    self.schedules = schedules
  }

  package func run() async {
    await cancelWhenGracefulShutdown {
      var isDeclared = false
      while !Task.isCancelled {
        do {
          if !isDeclared {
            try await declare()
            isDeclared = true
          }
          try await Task.sleep(for: try await look())
        } catch {
          if Task.isCancelled { return }
          logger.warning("cannot look for cron jobs", metadata: ["error": "\(error)"])
          try? await Task.sleep(for: Self.pauseAfterFailure)
        }
      }
    }
  }

  /// Tells the database which there are. By its clock, like everything that is about time.
  func declare() async throws {
    guard let now = try await jobs.postgres.executeOne(ServerTime(), tenant: nil) else { return }
    for (name, schedule) in schedules {
      guard let first = schedule.job.expression.next(after: now.seconds, in: schedule.zone) else { continue }
      _ = try await jobs.postgres.execute(
        DeclareCron(
          name: name, expression: schedule.job.expression.text, timezone: schedule.job.timezone,
          first: PostgresTimestamp(microseconds: first * 1_000_000)), tenant: nil)
    }
  }

  /// Adds what is due; returns how long it is until the next.
  func look() async throws -> Duration {
    var pause = Self.longestPause
    for entry in try await jobs.postgres.execute(CronEntries(), tenant: nil) {
      guard schedule(of: entry) != nil else { continue }
      if entry.next > entry.now {
        pause = min(pause, .microseconds(entry.next.microseconds - entry.now.microseconds))
        continue
      }
      do {
        try await tick(entry)
        pause = .zero
      } catch {
        // The others are not to wait for it.
        logger.error("cannot add a cron job", metadata: ["name": "\(entry.name)", "error": "\(error)"])
        pause = min(pause, Self.pauseAfterFailure)
      }
    }
    return max(pause, Self.shortestPause)
  }

  /// Another release may have the same name mean something else; it looks after its own.
  private func schedule(of entry: CronEntry) -> Schedule? {
    guard let schedule = schedules[entry.name], schedule.job.expression.text == entry.expression,
      schedule.job.timezone == entry.timezone
    else { return nil }
    return schedule
  }

  /// Adds the jobs of an entry that is due, unless another instance has.
  func tick(_ entry: CronEntry) async throws {
    guard let schedule = schedule(of: entry) else { return }
    let ticks = CronTicks(
      schedule.job.expression, in: schedule.zone, missed: schedule.job.missed, due: entry.next.seconds,
      now: entry.now.seconds)
    let advance = AdvanceCron(
      name: entry.name, expression: entry.expression, from: entry.next,
      to: ticks.following.map { PostgresTimestamp(microseconds: $0 * 1_000_000) } ?? .infinity)
    let isOurs = try await jobs.postgres.transaction(tenant: nil) { transaction in
      guard try await transaction.executeOne(advance) == true else { return false }
      for time in ticks.times {
        _ = try await jobs.add(
          schedule.job.make(PostgresTimestamp(microseconds: time * 1_000_000)), in: transaction)
      }
      return true
    }
    if isOurs {
      logger.info("cron", metadata: ["name": "\(entry.name)", "jobs": "\(ticks.times.count)"])
    }
  }
}
