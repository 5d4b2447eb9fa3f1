import NIOHTTP1

/// The header list of a request as it arrives, and what it says (RFC 9113, 8.3.1).
struct RequestFields {
  /// What a request may have of names and values, and of fields, besides the pseudo-fields.
  var limits = (bytes: 0, fields: 0)

  private var method = ""
  private var path = ""
  private var authority: String?
  private var fields: [(String, String)] = []
  private var bytes = 0
  private var fault: HTTPRefusal?

  mutating func add(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    bytes += name.count + value.count
    guard fault == nil else { return }
    guard bytes <= limits.bytes, fields.count < limits.fields || name.first == UInt8(ascii: ":") else {
      fields = []
      return fault = .headerTooLarge
    }
    let (name, text) = (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
    switch name {
    case ":method": method = text
    case ":path": path = text
    case ":authority": authority = text
    case _ where name.hasPrefix(":"): break  // A scheme that is not ours changes nothing.
    case _ where !value.allSatisfy(\.isFieldValue):
      fault = .malformed("A header field is not as RFC 9113 wants it.")
    // White space around it is no part of a value. nghttp2 is told to leave it to us.
    default: fields.append((name, text.trimmingBlanks))
    }
  }

  /// As a request of HTTP/1.1 would say it.
  func head() -> Result<HTTPRequestHead, HTTPRefusal> {
    if let fault { return .failure(fault) }
    var head = HTTPRequestHead(
      version: .http2, method: HTTPMethod(rawValue: method), uri: path.isEmpty ? authority ?? "" : path,
      headers: HTTPHeaders(fields))
    let hosts = head.headers["host"]
    if let authority {
      guard hosts.allSatisfy({ $0.lowercased() == authority.lowercased() }), hosts.count <= 1 else {
        return .failure(.malformed("The request's :authority and its Host name different hosts.", head))
      }
      head.headers.replaceOrAdd(name: "host", value: authority)
    }
    do {
      try RequestRules.checkTarget(of: head)
    } catch {
      return .failure(error)
    }
    guard head.uri.utf8.allSatisfy(\.isTarget) else {
      return .failure(.malformed("The request's target has characters that no target has."))
    }
    return .success(head)
  }
}
