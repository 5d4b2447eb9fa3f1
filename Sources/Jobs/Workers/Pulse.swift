internal import Postgres

/// When to say next that a worker lives, and for how long to wait to be heard: so that between two beats that were heard
/// there may be some that were not, and the worker is silent for less than it may be.
struct Pulse {
  private let settings: WorkerSettings
  /// When the last beat that was heard was sent.
  private var heardAt: ContinuousClock.Instant
  /// In a row.
  private var failures = 0

  init(settings: WorkerSettings, now: ContinuousClock.Instant) {
    self.settings = settings
    heardAt = now
  }

  mutating func heard(sentAt: ContinuousClock.Instant) {
    heardAt = max(heardAt, sentAt)
    failures = 0
  }

  mutating func failed() { failures += 1 }

  /// How long the next beat may take: little at first, since one alone may be stuck, and twice as long each time, since
  /// they may all be slow; but no longer than is of use.
  func patience(_ now: ContinuousClock.Instant) -> Duration {
    min(settings.beat / 2 * (1 << min(failures, 10)), max(.zero, heardAt + settings.silence - now))
  }

  /// From the end of one beat to the next.
  var pause: Duration { failures == 0 ? settings.beat : settings.beat / 8 }

  func isSilent(_ now: ContinuousClock.Instant) -> Bool { now - heardAt >= settings.silence }
}

extension Jobs {
  /// Connections for workers alone: to say that they live, to watch over others and to bury them. On those of the service
  /// that might wait behind its slow statements for longer than a lease. There are two since a burial takes a while, and a
  /// beat may be stuck.
  func lifeline() throws -> PostgresClient {
    var configuration = postgres.configuration
    configuration.applicationName += "-lifeline"
    configuration.pool = "lifeline"
    configuration.sharedConnections = 2
    return try PostgresClient(configuration: configuration, logger: logger)
  }
}
