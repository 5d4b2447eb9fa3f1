import Jobs
import Logging
import Postgres
import TimeZones

/// The job of computing a report, of the same id. A tenant's are computed one at a time, so that its twenty leave room
/// for others.
struct GenerateReport: JobKind {
  static let name = "generate_report"
  static let queue = "reports"

  static var options: JobOptions {
    var options = JobOptions()
    options.maxAttempts = 5
    // What reading the polls alone may take.
    options.timeout = .seconds(1800)
    options.retry = RetryPolicy(base: .seconds(1), cap: .seconds(10))
    return options
  }

  static func job(_ report: UUID, tenant: UUID) throws -> NewJob {
    var job = try NewJob(GenerateReport(), tenant: tenant)
    job.id = report
    job.limit = KeyedLimit("reports/\(tenant)", Limit(running: 1))
    return job
  }

  static func worker(_ jobs: Jobs, zones: TimeZones, logger: Logger) -> JobWorker {
    var settings = WorkerSettings()
    // Somebody waits for a report, and it is no harm if two compute it.
    settings.lease = .seconds(4)
    // Computing takes longer than a shutdown may: another worker is to begin at once.
    settings.grace = .zero
    return JobWorker(
      jobs: jobs, queues: [queue: QueueSettings(concurrency: 2)],
      handlers: [handler(postgres: jobs.postgres, zones: zones, logger: logger)], settings: settings)
  }

  static func handler(postgres: PostgresClient, zones: TimeZones, logger: Logger) -> JobHandler {
    .on(GenerateReport.self) { _, context in
      guard let tenant = context.tenant else {
        throw JobError.permanent(code: "NO_TENANT", message: "a report is a tenant's")
      }
      let started = ContinuousClock.now
      do {
        let rowCount = try await ComputeReport(
          postgres: postgres, zones: zones, tenant: tenant, job: context
        ).run()
        logger.info(
          "report complete",
          metadata: [
            "report": "\(context.id)", "rows": "\(rowCount)", "elapsed": "\(ContinuousClock.now - started)",
          ])
      } catch let error as TimeZones.Unknown {
        throw JobError.permanent(code: ReportJob.unknownTimezone, message: error.name)
      }
    }
  }
}

/// What a report's job says about it, as SQL.
enum ReportJob {
  /// Joins to each report `r` that is not complete its job, as `j`.
  static let join = """
    LEFT JOIN LATERAL (
      SELECT station, progress, finished_at, failures FROM store.jobs_find(r.report_id, r.tenant_id)
      WHERE r.status <> 'complete') AS j ON true
    """

  /// The one failure of which a tenant is told more than that there was one.
  static let unknownTimezone = "UNKNOWN_TIMEZONE"

  /// Why a report failed whose job has ended without success, or is forgotten.
  static let reason = """
    CASE
      WHEN j.station = 'cancelled' THEN 'CANCELLED'
      WHEN j.failures->-1->>'code' = '\(unknownTimezone)'
        THEN '\(unknownTimezone): ' || (j.failures->-1->>'message')
      ELSE 'INTERNAL'
    END
    """
}
