import NIOCore
import NIOHTTP1
import RPC

/// What went wrong, as the caller is told: `application/problem+json` (RFC 9457) and the fields that clients
/// of the older systems read (CONTRACT.md, "Errors").
struct Problem: Error, Sendable {
  var status: Int
  /// Stable, SCREAMING_SNAKE.
  var code: String
  var detail: String
  var errors: [InputViolation] = []
  /// Members of the problem that belong to its domain, e.g. `alternatives`.
  var extensions: [(name: String, value: String)] = []
  var headers: [(name: String, value: String)] = []

  init(_ status: Int, _ code: String, _ detail: String) {
    self.status = status
    self.code = code
    self.detail = detail
  }

  static func wrongMethod(_ method: String, allowed: [String]) -> Problem {
    let list = allowed.joined(separator: ", ")
    var problem = Problem(405, "METHOD_NOT_ALLOWED", "\(method) is not among this route's methods: \(list).")
    problem.headers = [("Allow", list)]
    return problem
  }

  /// - Parameters:
  ///   - target: method and path as the client sent them.
  ///   - now: for `timestamp`.
  func response(
    to target: (method: String, path: String), requestID: String, now: Moments.Instant = WallClock.now
  ) -> HTTPResponse {
    var body = ByteBuffer()
    body.reserveCapacity(512)
    body.writeInteger(UInt8.openBrace)
    body.writeMember("type", type, isFirst: true)
    body.writeMember("title", HTTPResponseHead.reason(status))
    body.writeStaticString(",\"status\":")
    body.writeDecimal(UInt64(status))
    body.writeMember("detail", detail)
    body.writeMember("instance", target.path)
    body.writeMember("code", code)
    body.writeMember("requestId", requestID)
    body.writeStaticString(",\"errors\":[")
    for (index, error) in errors.enumerated() {
      if index > 0 { body.writeInteger(UInt8.comma) }
      body.writeInteger(UInt8.openBrace)
      body.writeMember("field", error.pointer, isFirst: true)
      body.writeMember("code", error.code)
      body.writeMember("message", error.message)
      body.writeInteger(UInt8.closeBrace)
    }
    body.writeStaticString("],\"statusCode\":")
    body.writeDecimal(UInt64(status))
    body.writeMember("message", detail)
    body.writeMember("path", target.path)
    body.writeMember("method", target.method)
    body.writeStaticString(",\"timestamp\":\"")
    Moments.write(timestamp: now.millisecond, to: &body)
    body.writeInteger(UInt8.quote)
    for (name, value) in extensions where !Self.members.contains(name) { body.writeMember(name, value) }
    body.writeInteger(UInt8.closeBrace)
    return HTTPResponse(
      HTTPResponseHead(status: status, contentType: "application/problem+json", headers: headers), body: body)
  }

  private var type: String {
    status == 429 ? "https://iana.org/assignments/http-problem-types#quota-exceeded" : "about:blank"
  }

  /// A service's detail must not take the place of a member every problem has.
  private static let members: Set<String> = [
    "type", "title", "status", "detail", "instance", "code", "requestId", "errors", "statusCode", "message",
    "path", "method", "timestamp",
  ]
}

extension ByteBuffer {
  fileprivate mutating func writeMember(_ name: String, _ value: String, isFirst: Bool = false) {
    if !isFirst { writeInteger(UInt8.comma) }
    writeQuoted(name)
    writeInteger(UInt8.colon)
    writeQuoted(value)
  }
}

extension Moments.Instant {
  fileprivate var millisecond: Moments.Instant {
    Moments.Instant(seconds: seconds, nanos: nanos / 1_000_000 * 1_000_000)
  }
}
