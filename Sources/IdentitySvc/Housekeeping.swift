import Logging
import Postgres
import ServiceKit
import ServiceLifecycle

/// Forgets what nobody will ask for again, and makes room in the audit log for the months to come.
struct Housekeeping: Service {
  let postgres: PostgresClient
  let logger: Logger
  var now: @Sendable () -> Instant = { .now() }

  static let interval = Duration.minutes(10)

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do { try await look() } catch is CancellationError { return } catch {
          logger.error("housekeeping failed, and is tried again later", metadata: ["error": "\(error)"])
        }
        try? await Task.sleep(for: Self.interval)
      }
    }
  }

  func look() async throws {
    for ahead in [0, 31, 62] {
      try await postgres.executeCount(EnsureAuditPartition(at: now() + .days(Int64(ahead))), tenant: nil)
    }
    try await postgres.executeCount(Forget(now: now()), tenant: nil)
  }
}

struct EnsureAuditPartition: Statement {
  static let name = "EnsureAuditPartition"
  static let sql = "SELECT identity.ensure_audit_partition($1)"
  var at: Instant
  func bind(into bindings: inout Bindings) { bindings.append(at) }
}

struct Forget: Statement {
  static let name = "Forget"
  static let sql = "SELECT identity.forget($1)"
  var now: Instant
  func bind(into bindings: inout Bindings) { bindings.append(now) }
}
