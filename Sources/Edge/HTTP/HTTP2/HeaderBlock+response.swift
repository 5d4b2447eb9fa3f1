import HTTP2
import NIOCore

extension HeaderBlock {
  /// The fields of an answer. Those that every answer has are a few bytes each from the second one on: HPACK remembers them.
  init(
    _ head: HTTPResponseHead, contentLength: Int?, requestID: String, isSecure: Bool, date: HTTPDate
  ) {
    self.init()
    add(":status", Self.decimal(head.status))
    for field in SecurityFields.all { add(field.name, field.value) }
    if isSecure { add(SecurityFields.transportSecurity.name, SecurityFields.transportSecurity.value) }
    add("date", date.value)
    add("x-request-id", requestID.asFieldValue.utf8)
    add("content-security-policy", head.contentSecurityPolicy.asFieldValue.utf8)
    add("cache-control", head.cacheControl.asFieldValue.utf8)
    if !head.vary.isEmpty { add("vary", head.vary.joined(separator: ", ").asFieldValue.utf8) }
    if let contentType = head.contentType { add("content-type", contentType.asFieldValue.utf8) }
    for (name, value) in head.headers { add(name.lowercased().utf8, value.asFieldValue.utf8) }
    if let contentLength { add("content-length", Self.decimal(contentLength)) }
  }

  private static func decimal(_ value: Int) -> String.UTF8View { String(value).utf8 }
}
