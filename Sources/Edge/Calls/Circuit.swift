import Logging
import Metrics
import NIOCore
import RPC
import Synchronization

/// The circuit breaker of one service, shared by all loops, as an interceptor of its client. How often its failed calls
/// are made again the client's own throttle limits (`RPCClient.Configuration.retries`).
final class Circuit: Sendable {
  /// The reason of a call that was not made.
  static let reason = "SERVICE_UNAVAILABLE"

  private let service: String
  private let state: Mutex<CircuitState>
  private let now: @Sendable () -> NIODeadline
  private let logger: Logger
  private let open: Gauge
  private let refused: Counter

  init(
    _ service: String, limits: CircuitState.Limits = CircuitState.Limits(), logger: Logger,
    metrics: any MetricsFactory = MetricsSystem.factory,
    now: @escaping @Sendable () -> NIODeadline = { .now() }
  ) {
    self.service = service
    self.logger = logger
    self.now = now
    state = Mutex(CircuitState(limits))
    open = Gauge(label: "circuit_open", dimensions: [("service", service)], factory: metrics)
    refused = Counter(label: "circuit_refused_total", dimensions: [("service", service)], factory: metrics)
    open.record(0)
  }

  /// Whether calls are made.
  var isClosed: Bool { state.withLock { $0.isClosed } }

  var interceptor: ClientInterceptor {
    ClientInterceptor(
      unary: { call, request, next in
        let admission = try self.admit()
        do {
          let response = try await next(call, request)
          self.ended(admission, .answered)
          return response
        } catch {
          self.ended(admission, CircuitState.Outcome(error))
          throw error
        }
      },
      stream: { call, next in
        let admission = try self.admit()
        do {
          try await next(call)
          self.ended(admission, .answered)
        } catch {
          self.ended(admission, CircuitState.Outcome(error))
          throw error
        }
      })
  }

  private func admit() throws(RPCError) -> CircuitState.Admission {
    let now = now()
    let admission = state.withLock { $0.admit(now) }
    guard case .refuse(let pause) = admission else { return admission }
    refused.increment()
    throw RPCError(
      .unavailable, "The service behind this route is not answering; try again.", reason: Self.reason,
      retryAfter: .nanoseconds(pause.nanoseconds))
  }

  private func ended(_ admission: CircuitState.Admission, _ outcome: CircuitState.Outcome) {
    let now = now()
    switch state.withLock({ $0.ended(admission, outcome, now) }) {
    case .opened:
      open.record(1)
      logger.warning("most calls of the service fail: it is left alone", metadata: ["target": "\(service)"])
    case .closed:
      open.record(0)
      logger.notice("the service answers again", metadata: ["target": "\(service)"])
    case nil: break
    }
  }
}

extension CircuitState.Outcome {
  init(_ error: any Error) {
    guard let error = error as? RPCError else {
      self = .abandoned
      return
    }
    self =
      switch error.code {
      case .unavailable, .deadlineExceeded: .failed
      case .cancelled: .abandoned
      default: .answered
      }
  }
}
