import Logging
import Postgres
import ServiceKit
import ServiceLifecycle
import Synchronization

/// When keys were last used, to the minute: noted in memory while a call is on its way, and written down a little later,
/// at most once a minute for a key.
final class ApiKeyUses: Service {
  private struct Use: Hashable {
    var tenant: UUID
    var key: UUID
  }

  private let postgres: PostgresClient
  private let logger: Logger
  private let noted = Mutex<[Use: Instant]>([:])

  static let interval = Duration.seconds(5)
  /// Keys that are used for the first time in a minute, between two times of writing down; more are not told of.
  static let mostNoted = 10_000
  private static let resolution = Duration.minutes(1)

  init(postgres: PostgresClient, logger: Logger) {
    self.postgres = postgres
    self.logger = logger
  }

  /// - Parameter lastUsed: as the key's row has it, so that most uses need not be noted.
  func note(_ key: UUID, of tenant: UUID, lastUsed: Instant?, now: Instant) {
    let minute = Instant(
      microseconds: now.microseconds - now.microseconds % Self.resolution.wholeMicroseconds)
    if let lastUsed, lastUsed >= minute { return }
    noted.withLock { noted in
      guard noted.count < Self.mostNoted else { return }
      noted[Use(tenant: tenant, key: key)] = minute
    }
  }

  /// Uses that are not written down yet.
  var notedCount: Int { noted.withLock { $0.count } }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      while !Task.isCancelled {
        try? await Task.sleep(for: Self.interval)
        await write()
      }
    }
    await write()
  }

  func write() async {
    let uses = noted.withLock { noted in
      defer { noted = [:] }
      return noted
    }
    for (use, minute) in uses {
      do {
        let statement = TouchApiKey(tenant: use.tenant, key: use.key, at: minute)
        try await postgres.executeCount(statement, tenant: use.tenant)
      } catch {
        // The next use tells again; when a key was last used is no more than a hint.
        logger.warning("the use of a key was not written down", metadata: ["error": "\(error)"])
        return
      }
    }
  }
}

struct TouchApiKey: Statement {
  static let name = "TouchApiKey"
  static let sql = """
    UPDATE identity.api_keys SET last_used_at = $3
    WHERE tenant_id = $1 AND key_id = $2 AND (last_used_at IS NULL OR last_used_at < $3)
    """
  static let isIdempotent = true
  var tenant: UUID
  var key: UUID
  var at: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(key)
    bindings.append(at)
  }
}
