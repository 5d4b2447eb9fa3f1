import NIOCore

/// Status line and header fields of an answer, without those about framing, which the connection knows.
struct HTTPResponseHead: Sendable {
  var status: Int
  var contentType: String?
  var headers: [(name: String, value: String)] = []
  /// In the place of the one for answers that are no pages.
  var contentSecurityPolicy: String?
  /// In the place of `no-store`.
  var cacheControl: String?

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

/// How the end of a body is known.
enum BodyFraming: Equatable {
  case none
  case length(Int)
  case chunked
  /// The end of the connection: HTTP/1.0 knows no chunks.
  case untilClose
}

extension HTTPResponseHead {
  /// Appends the head in one go. The encoder of NIOHTTP1 would take a dictionary of a dozen strings that never
  /// change and cost more than the rest of the request.
  func write(
    to out: inout ByteBuffer, framing: BodyFraming, requestID: String, keepsAlive: Bool, date: HTTPDate
  ) {
    out.writeStaticString("HTTP/1.1 ")
    out.writeDigits(status, width: 3)
    out.writeInteger(UInt8(ascii: " "))
    out.writeString(Self.reason(status))
    out.writeStaticString("\r\n")
    out.writeStaticString(Self.everyResponse)
    if let contentSecurityPolicy {
      out.writeField("Content-Security-Policy", contentSecurityPolicy)
    } else {
      out.writeStaticString("Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n")
    }
    if let cacheControl {
      out.writeField("Cache-Control", cacheControl)
    } else {
      out.writeStaticString("Cache-Control: no-store\r\n")
    }
    date.write(to: &out)
    out.writeField("X-Request-Id", requestID)
    if let contentType { out.writeField("Content-Type", contentType) }
    for (name, value) in headers { out.writeField(name, value) }
    switch framing {
    case .none, .untilClose: break
    case .length(let count):
      out.writeStaticString("Content-Length: ")
      out.writeDecimal(UInt64(count))
      out.writeStaticString("\r\n")
    case .chunked: out.writeStaticString("Transfer-Encoding: chunked\r\n")
    }
    if !keepsAlive { out.writeStaticString("Connection: close\r\n") }
    out.writeStaticString("\r\n")
  }

  /// The defaults of Helmet 8 but the content policy.
  private static let everyResponse: StaticString = """
    Cross-Origin-Opener-Policy: same-origin\r
    Cross-Origin-Resource-Policy: same-origin\r
    Origin-Agent-Cluster: ?1\r
    Referrer-Policy: no-referrer\r
    Strict-Transport-Security: max-age=31536000; includeSubDomains\r
    X-Content-Type-Options: nosniff\r
    X-DNS-Prefetch-Control: off\r
    X-Download-Options: noopen\r
    X-Frame-Options: SAMEORIGIN\r
    X-Permitted-Cross-Domain-Policies: none\r
    X-XSS-Protection: 0\r

    """

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

extension ByteBuffer {
  /// A header field. Values come from services too, so bytes that could end the field are left out.
  fileprivate mutating func writeField(_ name: String, _ value: String) {
    writeString(name)
    writeStaticString(": ")
    if value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) {
      writeString(value)
    } else {
      writeBytes(value.utf8.filter { $0 >= 0x20 && $0 != 0x7F })
    }
    writeStaticString("\r\n")
  }
}
