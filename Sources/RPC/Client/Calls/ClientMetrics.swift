import Metrics
import NIOCore

/// What a client counts for a method. The handles a call that succeeds at once needs are made once: nothing is
/// looked up.
final class ClientMetrics: Sendable {
  /// Why there was a further attempt.
  enum Reason: String {
    case retry, hedge, transparent
  }

  private let path: String
  private let succeeded: Counter
  private let duration: Timer
  private let inFlight: Meter

  /// `nil` when nobody collects metrics, and calls need not ask for the time.
  init?(path: String, factory: any MetricsFactory = MetricsSystem.factory) {
    if factory is NOOPMetricsHandler { return nil }
    let method = ("method", path)
    self.path = path
    succeeded = Self.requests(path, .ok)
    duration = Timer(label: "rpc_client_duration_seconds", dimensions: [method])
    inFlight = Meter(label: "rpc_client_in_flight", dimensions: [method])
  }

  private static func requests(_ path: String, _ code: StatusCode) -> Counter {
    Counter(label: "rpc_client_requests_total", dimensions: [("method", path), ("code", code.name)])
  }

  func began() {
    inFlight.increment()
  }

  /// - Parameter code: what the caller got, after all attempts.
  func ended(_ code: StatusCode, after time: TimeAmount) {
    inFlight.decrement()
    (code == .ok ? succeeded : Self.requests(path, code)).increment()
    duration.recordNanoseconds(time.nanoseconds)
  }

  func attemptedAgain(_ reason: Reason) {
    Counter(
      label: "rpc_client_further_attempts_total", dimensions: [("method", path), ("reason", reason.rawValue)]
    ).increment()
  }
}
