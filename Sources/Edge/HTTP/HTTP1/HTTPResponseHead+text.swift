import NIOCore

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
    to out: inout ByteBuffer, framing: BodyFraming, requestID: String, keepsAlive: Bool,
    isSecure: Bool = false,
    date: HTTPDate
  ) {
    out.writeStaticString("HTTP/1.1 ")
    out.writeDigits(status, width: 3)
    out.writeInteger(UInt8(ascii: " "))
    out.writeString(Self.reason(status))
    out.writeStaticString("\r\n")
    out.writeBytes(Self.everyAnswer)
    if isSecure { out.writeBytes(Self.everySecureAnswer) }
    date.write(to: &out)
    out.writeField("X-Request-Id", requestID)
    out.writeField("Content-Security-Policy", contentSecurityPolicy)
    out.writeField("Cache-Control", cacheControl)
    if !vary.isEmpty { out.writeField("Vary", vary.joined(separator: ", ")) }
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

  private static let everyAnswer = text(SecurityFields.all)
  private static let everySecureAnswer = text([SecurityFields.transportSecurity])

  private static func text(_ fields: [(name: StaticString, value: StaticString)]) -> [UInt8] {
    fields.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) }
  }
}

extension String {
  /// Values come from services too, so what could end a field is left out.
  var asFieldValue: String {
    utf8.allSatisfy(\.isFieldValue) ? self : String(decoding: utf8.filter(\.isFieldValue), as: UTF8.self)
  }
}

extension ByteBuffer {
  fileprivate mutating func writeField(_ name: String, _ value: String) {
    writeString(name)
    writeStaticString(": ")
    writeString(value.asFieldValue)
    writeStaticString("\r\n")
  }
}
