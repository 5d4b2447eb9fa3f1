import Metrics

/// What a client counts of its connections to one target, on all event loops. Nothing of it happens on the way of a
/// call that finds a connection with room.
final class ClientConnectionMetrics: Sendable {
  private let open: Meter
  private let attempts: Counter
  private let failures: Counter
  private let ejections: Counter
  private let callsWaiting: Meter

  /// `nil` when nobody collects metrics.
  init?(target: RPCTarget, factory: any MetricsFactory) {
    if factory is NOOPMetricsHandler { return nil }
    let labels = [("target", target.description)]
    open = Meter(label: "rpc_client_connections_open", dimensions: labels, factory: factory)
    attempts = Counter(
      label: "rpc_client_connections_attempts_total", dimensions: labels, factory: factory)
    failures = Counter(
      label: "rpc_client_connections_failures_total", dimensions: labels, factory: factory)
    ejections = Counter(
      label: "rpc_client_connections_ejections_total", dimensions: labels, factory: factory)
    callsWaiting = Meter(label: "rpc_client_calls_waiting", dimensions: labels, factory: factory)
  }

  func attempted() { attempts.increment() }
  /// There was no connection, or it ended before it was of use.
  func failed() { failures.increment() }
  func opened() { open.increment() }
  func closed() { open.decrement() }
  func ejected() { ejections.increment() }
  func beganWaiting() { callsWaiting.increment() }
  func endedWaiting(_ count: Int = 1) { callsWaiting.decrement(by: Double(count)) }
}
