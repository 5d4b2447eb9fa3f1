import NIOHTTP1

/// What must be so about a request as a whole: how long its body is, and for whom it is.
enum RequestRules {
  /// RFC 9112, 6.3. That a request has two lengths is the beginning of every smuggled one, so it never has: not even the
  /// same one twice.
  static func bodyLength(of head: HTTPRequestHead) throws(HTTPRefusal) -> BodyLength {
    var lengths: [String] = []
    var codings: [Substring] = []
    var hasCoding = false
    for (name, value) in head.headers {
      switch name.utf8.count {
      case 14 where name.lowercased() == "content-length": lengths.append(value)
      case 17 where name.lowercased() == "transfer-encoding":
        hasCoding = true
        codings += value.split(separator: ",", omittingEmptySubsequences: false)
      default: break
      }
    }
    if hasCoding {
      guard lengths.isEmpty else {
        throw .malformed("A request has Transfer-Encoding or Content-Length, not both.")
      }
      guard head.version != .http1_0 else { throw .malformed("HTTP/1.0 has no Transfer-Encoding.") }
      return try chunked(codings.map { $0.lowercased().trimmingBlanks })
    }
    guard let length = lengths.first else { return .none }
    guard lengths.count == 1, (1...maxLengthDigits).contains(length.utf8.count),
      length.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }), let bytes = Int(length)
    else {
      throw .malformed("Content-Length is one number.")
    }
    return bytes == 0 ? .none : .bytes(bytes)
  }

  /// All that fit into an Int.
  private static let maxLengthDigits = 18

  private static func chunked(_ codings: [String]) throws(HTTPRefusal) -> BodyLength {
    guard codings.last == "chunked", codings.dropLast().allSatisfy({ $0 != "chunked" && !$0.isEmpty }) else {
      throw .malformed("Only \"chunked\", once and last, says where a request with Transfer-Encoding ends.")
    }
    guard codings.count == 1 else { throw .unknownTransferCoding }
    return .chunked
  }

  /// RFC 9112, 3.2: who a request is for must not be open to guessing.
  static func checkTarget(of head: HTTPRequestHead) throws(HTTPRefusal) {
    var hosts = 0
    var host = ""
    for (name, value) in head.headers where name.utf8.count == 4 && name.lowercased() == "host" {
      hosts += 1
      host = value
    }
    guard hosts == 1 || hosts == 0 && head.version == .http1_0 else { throw .hostUnclear(head) }
    guard host.utf8.allSatisfy(\.isAuthority) else { throw .malformed("Host is not a host.", head) }
    if head.uri.utf8.first == UInt8(ascii: "/") { return }
    switch head.method {
    case .CONNECT:
      guard head.uri.utf8.allSatisfy(\.isAuthority) else {
        throw .malformed("The target of CONNECT is not a host.", head)
      }
    case .OPTIONS where head.uri == "*": break
    default:
      guard let authority = RequestTarget.authority(of: head.uri) else {
        throw .malformed("The request's target is neither a path nor a URL.", head)
      }
      guard hosts == 0 || authority.lowercased() == host.lowercased() else {
        throw .malformed("The request's target and its Host name different hosts.", head)
      }
    }
  }

  /// Fields that would change, after the fact, where the request ends or for whom it is.
  static func isFraming(_ name: String) -> Bool {
    ["content-length", "transfer-encoding", "host"].contains(name.lowercased())
  }
}

extension String {
  /// Without the spaces and tabs around it.
  var trimmingBlanks: String {
    guard utf8.first?.isBlank == true || utf8.last?.isBlank == true else { return self }
    var text = drop { $0 == " " || $0 == "\t" }
    while text.last == " " || text.last == "\t" { text.removeLast() }
    return String(text)
  }
}

extension UInt8 {
  /// Of a host with or without a port (RFC 3986, 3.2), without user information.
  fileprivate var isAuthority: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "-._~%!$&'()*+;=:[]".utf8.contains(self)
    }
  }
}
