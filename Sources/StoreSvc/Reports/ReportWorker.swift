import Logging
import Metrics
import Postgres
import ServiceLifecycle
import Synchronization
import TimeZones

/// Computes the reports that were asked for, one at a time. Any number of workers, here and on other machines,
/// share the work through the table: a report is leased, the lease is renewed while it is computed, and when a
/// worker dies its lease runs out and another takes over.
struct ReportWorker: Service {
  let postgres: PostgresClient
  let zones: TimeZones
  let signal: WorkSignal
  let logger: Logger
  var timing = Timing()

  struct Timing: Sendable {
    /// How long a worker may be silent before its report is given to another.
    var lease = Duration.seconds(4)
    var heartbeat = Duration.seconds(1)
    /// How soon a report is noticed that was asked for elsewhere.
    var poll = Duration.seconds(1)
    /// After so many attempts a report has failed.
    var mostAttempts: Int32 = 5
  }

  func run() async {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          if let claim = try await postgres.executeOne(ClaimReport(timing: timing), tenant: nil) {
            await work(on: claim)
          } else {
            await signal.wait(upTo: timing.poll)
          }
        } catch {
          if Task.isCancelled { break }
          logger.warning("cannot look for reports", metadata: ["error": "\(error)"])
          await signal.wait(upTo: timing.poll)
        }
      }
    }
  }

  /// Computes one report and settles what becomes of it.
  func work(on claim: ReportClaim) async {
    var logger = logger
    logger[metadataKey: "report"] = "\(claim.report)"
    logger[metadataKey: "attempt"] = "\(claim.attempt)"
    let started = ContinuousClock.now
    do {
      let rowCount = try await compute(claim)
      let elapsed = ContinuousClock.now - started
      Timer(label: "store_report_duration_seconds").record(duration: elapsed)
      logger.info("report complete", metadata: ["rows": "\(rowCount)", "elapsed": "\(elapsed)"])
    } catch is LeaseLost {
      logger.warning("report was taken over by another worker")
    } catch  where Task.isCancelled {
      // Shutting down. A task of its own, because this one may not talk to the database any more.
      logger.info("report left to the next worker")
      await Task { [logger] in await settle(RequeueReport(claim: claim), claim, logger) }.value
    } catch let error as TimeZones.Unknown {
      logger.error("report failed", metadata: ["error": "\(error)"])
      await settle(FailReport(claim: claim, reason: "UNKNOWN_TIMEZONE: \(error.name)"), claim, logger)
    } catch {
      logger.error("report attempt failed", metadata: ["error": "\(error)"])
      await settle(ReleaseReport(claim: claim, afterSeconds: Double(claim.attempt)), claim, logger)
    }
  }

  /// If this fails too, the lease runs out and comes to the same.
  private func settle(_ statement: some Statement, _ claim: ReportClaim, _ logger: Logger) async {
    do {
      try await postgres.executeCount(statement, tenant: claim.tenant)
    } catch {
      logger.warning("cannot settle the report", metadata: ["error": "\(error)"])
    }
  }

  private func compute(_ claim: ReportClaim) async throws -> Int {
    let progress = ReportProgress()
    return try await withThrowingTaskGroup(of: Int?.self) { group in
      group.addTask {
        try await GenerateReport(postgres: postgres, zones: zones, claim: claim).run { progress.share = $0 }
      }
      group.addTask {
        while true {
          try await Task.sleep(for: timing.heartbeat)
          let beat = ExtendLease(claim: claim, timing: timing, progress: progress.share)
          // Nothing to renew: the report is saved, or another worker has it and saving it will be refused.
          guard try await postgres.executeCount(beat, tenant: claim.tenant) == 1 else { return nil }
        }
      }
      defer { group.cancelAll() }
      while let rowCount = try await group.next() {
        if let rowCount { return rowCount }
      }
      throw CancellationError()
    }
  }
}

/// Another worker has the report now.
struct LeaseLost: Error {}

/// Set by the one who computes, read by the one who reports it.
private final class ReportProgress: Sendable {
  private let state = Mutex(0.0)

  /// 0 to 1.
  var share: Double {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}
