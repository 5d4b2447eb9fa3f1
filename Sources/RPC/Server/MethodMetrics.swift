import Metrics
import NIOCore

/// What is counted for a method. The handles a call that succeeds needs are made once: nothing is looked up.
final class MethodMetrics: Sendable {
  private let path: String
  private let succeeded: Counter
  private let duration: Timer
  private let inFlight: Meter

  init(path: String) {
    let method = ("method", path)
    self.path = path
    succeeded = Self.requests(path, .ok)
    duration = Timer(label: "rpc_server_duration_seconds", dimensions: [method])
    inFlight = Meter(label: "rpc_server_in_flight", dimensions: [method])
  }

  private static func requests(_ path: String, _ code: StatusCode) -> Counter {
    Counter(label: "rpc_server_requests_total", dimensions: [("method", path), ("code", code.name)])
  }

  func began() {
    inFlight.increment()
  }

  func ended(_ code: StatusCode, after time: TimeAmount) {
    inFlight.decrement()
    (code == .ok ? succeeded : Self.requests(path, code)).increment()
    duration.recordNanoseconds(time.nanoseconds)
  }
}

extension StatusCode {
  /// As gRPC spells it, e.g. `NOT_FOUND`.
  package var name: String {
    switch self {
    case .ok: "OK"
    case .cancelled: "CANCELLED"
    case .unknown: "UNKNOWN"
    case .invalidArgument: "INVALID_ARGUMENT"
    case .deadlineExceeded: "DEADLINE_EXCEEDED"
    case .notFound: "NOT_FOUND"
    case .alreadyExists: "ALREADY_EXISTS"
    case .permissionDenied: "PERMISSION_DENIED"
    case .resourceExhausted: "RESOURCE_EXHAUSTED"
    case .failedPrecondition: "FAILED_PRECONDITION"
    case .aborted: "ABORTED"
    case .outOfRange: "OUT_OF_RANGE"
    case .unimplemented: "UNIMPLEMENTED"
    case .internal: "INTERNAL"
    case .unavailable: "UNAVAILABLE"
    case .dataLoss: "DATA_LOSS"
    case .unauthenticated: "UNAUTHENTICATED"
    }
  }
}
