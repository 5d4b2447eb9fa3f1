import NIOCore

/// Status and header fields of an answer, without those that every answer has and those about framing.
struct HTTPResponseHead: Sendable {
  var status: Int
  var contentType: String?
  var headers: [(name: String, value: String)] = []
  /// What a page may load and run (CSP). The default is that of an API, which serves no pages.
  var contentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'"
  /// Nobody keeps an answer unless it says so.
  var cacheControl = notKept
  /// Clients may keep it if they ask each time whether it is still so: it is given an ETag.
  var isValidated = false
  /// Names of request fields on which the answer depends.
  var vary: [String] = []

  static let notKept = "no-store"

  init(status: Int, contentType: String? = nil, headers: [(name: String, value: String)] = []) {
    self.status = status
    self.contentType = contentType
    self.headers = headers
  }
}

/// A whole answer.
struct HTTPResponse: Sendable {
  var head: HTTPResponseHead
  var body: ByteBuffer

  init(_ head: HTTPResponseHead, body: ByteBuffer = ByteBuffer()) {
    self.head = head
    self.body = body
  }
}

extension Int {
  /// Whether an answer of this status has a body, if only an empty one (RFC 9110, 6.4.1).
  var hasBody: Bool { self >= 200 && self != 204 && self != 304 }
}

extension HTTPResponseHead {
  static func reason(_ status: Int) -> String {
    switch status {
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 304: "Not Modified"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 422: "Unprocessable Content"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 499: "Client Closed Request"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: "Status \(status)"
    }
  }
}
