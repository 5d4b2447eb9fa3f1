import NIOHTTP1

/// A request the HTTP layer itself turns down.
struct HTTPRefusal: Sendable {
  var status: Int
  /// Stable, SCREAMING_SNAKE.
  var code: String
  var detail: String
  /// What was asked for, as far as it is known.
  var head: HTTPRequestHead?
  var requestID: String?

  static let malformed = HTTPRefusal(
    status: 400, code: "MALFORMED_REQUEST", detail: "The request does not follow HTTP/1.1.")
  static let headerTooLarge = HTTPRefusal(
    status: 431, code: "HEADER_TOO_LARGE",
    detail: "The request's header block is larger than is accepted here, or has too many fields.")
  static let headerTimeout = HTTPRefusal(
    status: 408, code: "HEADER_TIMEOUT", detail: "The request's header block took too long to arrive.")
  static let bodyTimeout = HTTPRefusal(
    status: 408, code: "BODY_TIMEOUT", detail: "The request's body took too long to arrive.")
  static let unknownExpectation = HTTPRefusal(
    status: 417, code: "UNKNOWN_EXPECTATION", detail: "The only expectation met here is 100-continue.")
  static let tooManyConnections = HTTPRefusal(
    status: 503, code: "TOO_MANY_CONNECTIONS",
    detail: "This server has all the connections it takes; ask later.")

  static func hostUnclear(_ head: HTTPRequestHead) -> HTTPRefusal {
    HTTPRefusal(
      status: 400, code: "MALFORMED_REQUEST", detail: "A request of HTTP/1.1 has exactly one Host field.",
      head: head)
  }

  static func shuttingDown(_ head: HTTPRequestHead) -> HTTPRefusal {
    HTTPRefusal(
      status: 503, code: "SHUTTING_DOWN", detail: "This server is shutting down; ask again.", head: head)
  }

  static func bodyTooLarge(maxBytes: Int) -> HTTPRefusal {
    HTTPRefusal(
      status: 413, code: "BODY_TOO_LARGE", detail: "The body may have at most \(maxBytes) bytes here.")
  }
}
