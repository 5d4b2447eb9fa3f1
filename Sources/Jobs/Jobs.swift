package import Logging
package import Postgres
internal import ServiceLifecycle

/// A durable queue in the schema of the service that uses it.
///
/// A job added in a transaction is run if that commits, at least once, however many processes die meanwhile; it is never
/// run by two live workers at once. One of these per process; run as a service it tells other processes of new jobs and
/// hears of theirs, and keeps house.
///
/// The client's configuration names the schema, in which `migration` has made the tables.
package final class Jobs: Service {
  package let postgres: PostgresClient
  let logger: Logger
  let limits = KnownLimits()
  let doorbells = Doorbells()
  /// How long what became of a job is kept.
  package let keep: Duration

  package init(postgres: PostgresClient, keep: Duration = .seconds(30 * 86_400), logger: Logger) {
    precondition(postgres.configuration.schema != nil, "jobs are found by the schema the configuration names")
    self.postgres = postgres
    self.keep = keep
    self.logger = logger
  }

  package func run() async {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.tellOthers() }
        group.addTask { await self.hearOthers() }
        group.addTask { await Housekeeping(jobs: self).run() }
      }
    }
    // What was added last would otherwise wait for others to look by themselves.
    await tell()
  }

  /// Where processes tell each other of jobs.
  var channel: String { "\(postgres.configuration.schema ?? "")_jobs" }

  /// There may be jobs in these queues: rings here and, soon after, elsewhere.
  func wake(_ queues: some Sequence<String>) {
    for queue in queues {
      doorbells.ring(queue)
      doorbells.tell(queue)
    }
  }
}
