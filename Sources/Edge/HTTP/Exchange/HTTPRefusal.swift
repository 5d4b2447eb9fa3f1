import NIOHTTP1

/// A request the HTTP layer itself turns down.
struct HTTPRefusal: Error, Sendable {
  var status: Int
  /// Stable, SCREAMING_SNAKE.
  var code: String
  var detail: String
  /// What was asked for, as far as it is known.
  var head: HTTPRequestHead?
  var requestID: String?
  var headers: [(name: String, value: String)] = []

  static func malformed(_ why: String, _ head: HTTPRequestHead? = nil) -> HTTPRefusal {
    HTTPRefusal(status: 400, code: "MALFORMED_REQUEST", detail: why, head: head)
  }

  static func hostUnclear(_ head: HTTPRequestHead) -> HTTPRefusal {
    malformed("A request says exactly once for which host it is.", head)
  }

  static let targetTooLong = HTTPRefusal(
    status: 414, code: "TARGET_TOO_LONG", detail: "The request's target is longer than is accepted here.")
  static let headerTooLarge = HTTPRefusal(
    status: 431, code: "HEADER_TOO_LARGE",
    detail: "The request's header block is larger than is accepted here, or has too many fields.")
  static let headerTimeout = HTTPRefusal(
    status: 408, code: "HEADER_TIMEOUT", detail: "The request's header block took too long to arrive.")
  static let bodyTimeout = HTTPRefusal(
    status: 408, code: "BODY_TIMEOUT", detail: "The request's body took too long to arrive.")
  static let unknownExpectation = HTTPRefusal(
    status: 417, code: "UNKNOWN_EXPECTATION", detail: "The only expectation met here is 100-continue.")
  static let unknownTransferCoding = HTTPRefusal(
    status: 501, code: "UNKNOWN_TRANSFER_CODING", detail: "The only transfer coding known here is chunked.")
  static let unknownVersion = HTTPRefusal(
    status: 505, code: "UNKNOWN_VERSION",
    detail: "This is a server of HTTP/1.1, and of HTTP/2 where that is agreed on.")

  static let tooManyConnections = HTTPRefusal(
    status: 503, code: "TOO_MANY_CONNECTIONS",
    detail: "This server has all the connections it takes; ask later.", headers: retryAfterSecond)
  static let tooManyConnectionsOfAddress = HTTPRefusal(
    status: 503, code: "TOO_MANY_CONNECTIONS",
    detail: "This server has all the connections it takes from your address.", headers: retryAfterSecond)
  /// The bodies of all clients occupy what they may.
  static let overloaded = HTTPRefusal(
    status: 503, code: "OVERLOADED",
    detail: "This server holds as much as it can for its clients; ask again.",
    headers: retryAfterSecond)

  static func shuttingDown(_ head: HTTPRequestHead) -> HTTPRefusal {
    HTTPRefusal(
      status: 503, code: "SHUTTING_DOWN", detail: "This server is shutting down; ask again.", head: head)
  }

  static func bodyTooLarge(maxBytes: Int) -> HTTPRefusal {
    HTTPRefusal(
      status: 413, code: "BODY_TOO_LARGE", detail: "The body may have at most \(maxBytes) bytes here.")
  }

  private static let retryAfterSecond = [(name: "Retry-After", value: "1")]
}
