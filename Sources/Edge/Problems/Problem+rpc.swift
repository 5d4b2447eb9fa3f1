import RPC
import ServiceKit

extension Problem {
  /// What a service answered instead of a result.
  ///
  /// - Parameter request: the request message, whose tables spell the fields of violations as JSON does.
  init(_ error: RPCError, route: Route) {
    self.init(Self.status(of: error.code), error.reason ?? Self.code(of: error.code), error.message)
    if error.reason == nil, Self.isOpaque(error.code) { detail = Self.opaqueDetail(of: error.code) }
    errors = error.violations.map { violation in
      InputViolation(
        pointer: route.pointer(to: violation.field), code: violation.code, message: violation.message)
    }
    // gRPC has no code for it.
    if error.reason == "IDEMPOTENCY_KEY_REUSED" { status = 422 }
    var details = error.details
    if details.removeValue(forKey: Idempotency.replayed.detail) != nil {
      headers.append(("Idempotency-Replayed", "true"))
    }
    extensions = details.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    if let retryAfter = error.retryAfter {
      // Whole seconds, and never sooner than asked.
      let (seconds, attoseconds) = retryAfter.components
      headers.append(("Retry-After", String(max(0, seconds + (attoseconds > 0 ? 1 : 0)))))
    }
  }

  /// gRPC's status codes in HTTP's terms (CONTRACT.md, "Errors").
  static func status(of code: StatusCode) -> Int {
    switch code {
    case .ok: 200
    case .invalidArgument, .failedPrecondition, .outOfRange: 400
    case .unauthenticated: 401
    case .permissionDenied: 403
    case .notFound: 404
    case .alreadyExists, .aborted: 409
    case .resourceExhausted: 429
    case .cancelled: 499
    case .unknown, .internal, .dataLoss: 500
    case .unimplemented: 501
    case .unavailable: 503
    case .deadlineExceeded: 504
    }
  }

  /// The code of an error that has no reason of its own.
  static func code(of code: StatusCode) -> String {
    switch code {
    case .ok: "OK"
    case .cancelled: "CANCELLED"
    case .unknown, .internal: "INTERNAL"
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
    case .unavailable: "UNAVAILABLE"
    case .dataLoss: "DATA_LOSS"
    case .unauthenticated: "UNAUTHENTICATED"
    }
  }

  /// Failures whose message, when no service gave them a reason, may come from the transport and name an internal address, or from a bug.
  private static func isOpaque(_ code: StatusCode) -> Bool {
    switch code {
    case .unavailable, .internal, .unknown, .dataLoss, .deadlineExceeded: true
    default: false
    }
  }

  private static func opaqueDetail(of code: StatusCode) -> String {
    switch code {
    case .unavailable: "The service behind this route cannot be reached; try again."
    case .deadlineExceeded: "The service behind this route took too long."
    default: "Something went wrong here. The request id finds it in our logs."
    }
  }
}

extension Route {
  /// `hours[0].day_of_week` of the request message as a pointer into the body: `/0/dayOfWeek` where the body is
  /// `hours`, else `/hours/0/dayOfWeek`.
  func pointer(to path: String) -> String {
    var pointer = ""
    var table: MessageTable? = request
    for (depth, part) in path.split(separator: ".").enumerated() {
      let pieces = part.split(separator: "[")
      let name = pieces.first.map(String.init) ?? ""
      let index = table?.field(named: name)
      let field = index.flatMap { table?.fields[$0] }
      var isBody = false
      if depth == 0, case .field(let body) = self.body { isBody = body == index }
      if !isBody { pointer += "/" + JSONPath.escaped(field?.jsonName ?? name) }
      for piece in pieces.dropFirst() {
        let key = piece.hasSuffix("]") ? piece.dropLast() : piece
        let isQuoted = key.count > 1 && key.first == "\"" && key.last == "\""
        pointer += "/" + JSONPath.escaped(String(isQuoted ? key.dropFirst().dropLast() : key))
      }
      table = if case .message(let next) = field?.kind { next } else { nil }
    }
    return pointer
  }
}
