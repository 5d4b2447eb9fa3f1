import Metrics
import NIOCore
import Synchronization

/// What is counted for a route. Its handles are made once, those for a status when it first occurs: a request looks
/// nothing up by name.
final class RouteMetrics: Sendable {
  private let labels: [(String, String)]
  private let factory: any MetricsFactory
  private let inFlight: Meter
  private let duration: Timer
  private let answers = Mutex<[Int: Counter]>([:])

  /// - Parameters:
  ///   - route: its template, never a path: each value is a series of its own.
  ///   - method: of the route; HEAD counts as the GET it stands for.
  init(route: String, method: String, factory: any MetricsFactory) {
    labels = [("route", route), ("method", method)]
    self.factory = factory
    inFlight = Meter(label: "http_server_in_flight", dimensions: labels, factory: factory)
    duration = Timer(
      label: "http_server_duration_seconds", dimensions: labels, preferredDisplayUnit: .seconds,
      factory: factory)
  }

  /// For requests that found no route. What they asked for is the client's to choose, and not told.
  static func unrouted(factory: any MetricsFactory) -> RouteMetrics {
    RouteMetrics(route: "none", method: "any", factory: factory)
  }

  func began() {
    inFlight.increment()
  }

  /// - Parameter status: of the answer; 499 when the client did not wait for it.
  func ended(_ status: Int, after time: TimeAmount) {
    inFlight.decrement()
    answers.withLock { answers in
      if let known = answers[status] { return known }
      let new = Counter(
        label: "http_server_requests_total", dimensions: labels + [("status", String(status))],
        factory: factory)
      answers[status] = new
      return new
    }.increment()
    duration.recordNanoseconds(time.nanoseconds)
  }
}
