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
  private let factory: any MetricsFactory
  private let succeeded: Counter
  private let duration: Timer
  private let inFlight: Meter

  /// `nil` when nobody collects metrics, and calls need not ask for the time.
  init?(path: String, factory: any MetricsFactory) {
    if factory is NOOPMetricsHandler { return nil }
    let method = ("method", path)
    self.path = path
    self.factory = factory
    succeeded = Self.requests(path, .ok, factory)
    duration = Timer(label: "rpc_client_duration_seconds", dimensions: [method], factory: factory)
    inFlight = Meter(label: "rpc_client_in_flight", dimensions: [method], factory: factory)
  }

  private static func requests(
    _ path: String, _ code: StatusCode, _ factory: any MetricsFactory
  ) -> Counter {
    Counter(
      label: "rpc_client_requests_total", dimensions: [("method", path), ("code", code.name)],
      factory: factory)
  }

  /// A call is in flight until it is told that it has ended.
  func began() -> Ongoing {
    inFlight.increment()
    return Ongoing(metrics: self, began: .now())
  }

  /// A call in flight, to be ended once.
  struct Ongoing {
    fileprivate let metrics: ClientMetrics
    fileprivate let began: NIODeadline

    func succeeded() {
      ended(metrics.succeeded)
    }

    /// - Parameter error: what the caller gets.
    func failed(_ error: any Error) {
      // Whoever throws another error than ours in the middle of a call thereby cancels it.
      let code = (error as? RPCError)?.code ?? .cancelled
      ended(ClientMetrics.requests(metrics.path, code, metrics.factory))
    }

    private func ended(_ requests: Counter) {
      metrics.inFlight.decrement()
      requests.increment()
      metrics.duration.recordNanoseconds((.now() - began).nanoseconds)
    }
  }

  func attemptedAgain(_ reason: Reason) {
    Counter(
      label: "rpc_client_further_attempts_total",
      dimensions: [("method", path), ("reason", reason.rawValue)],
      factory: factory
    ).increment()
  }
}
