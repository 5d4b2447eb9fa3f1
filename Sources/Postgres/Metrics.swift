internal import Metrics
internal import NIOCore

/// What the client tells swift-metrics. Used by the connections' thread alone.
final class PostgresMetrics {
  private let waiting: Meter
  private let inFlight: Meter
  private let leased: Meter
  private let connections = Counter(label: "postgres_connections_opened_total")
  private var statements: [String: (duration: Timer, failures: Counter)] = [:]

  init(pool: String) {
    // Those of two clients would overwrite each other; whatever is counted adds up.
    let dimensions = [("pool", pool)]
    waiting = Meter(label: "postgres_requests_waiting", dimensions: dimensions)
    inFlight = Meter(label: "postgres_requests_in_flight", dimensions: dimensions)
    leased = Meter(label: "postgres_connections_leased", dimensions: dimensions)
  }

  func record(waiting: Int, inFlight: Int, leased: Int) {
    self.waiting.set(waiting)
    self.inFlight.set(inFlight)
    self.leased.set(leased)
  }

  /// Beyond the first few these are reconnects.
  func connected() { connections.increment() }

  /// - Parameter duration: from the moment the request reached the client's thread to its answer.
  func record(_ statement: String, _ duration: TimeAmount, failed: Bool) {
    let metrics = statements[statement] ?? make(statement)
    metrics.duration.recordNanoseconds(duration.nanoseconds)
    if failed { metrics.failures.increment() }
  }

  private func make(_ statement: String) -> (duration: Timer, failures: Counter) {
    let dimensions = [("statement", statement)]
    let made = (
      Timer(label: "postgres_statement_duration_seconds", dimensions: dimensions),
      Counter(label: "postgres_statement_failures_total", dimensions: dimensions)
    )
    statements[statement] = made
    return made
  }
}
