import NIOHTTP1
import Schema

/// The key in `Idempotency-Key`, quoted as a string of RFC 9651 or bare, or in `X-Idempotency-Key`
/// (CONTRACT.md, "Idempotency").
enum IdempotencyKey {
  /// Nil when the route passes keys over, or takes one and there is none.
  static func of(_ headers: HTTPHeaders, for route: Route) throws(Problem) -> String? {
    guard route.idempotencyKey != .passedOver else { return nil }
    var key: String?
    for name in ["Idempotency-Key", "X-Idempotency-Key"] {
      for value in headers[name] {
        guard let parsed = parse(value[...]) else {
          throw Problem(
            400, "INVALID_IDEMPOTENCY_KEY",
            "\(name) must be 1 to 255 printable ASCII characters, bare or quoted as RFC 9651 has strings.")
        }
        guard key == nil || key == parsed else {
          throw Problem(
            400, "INVALID_IDEMPOTENCY_KEY",
            "Idempotency-Key and X-Idempotency-Key must not say different things."
          )
        }
        key = parsed
      }
    }
    if key == nil, route.idempotencyKey == .required {
      throw Problem(400, "IDEMPOTENCY_KEY_REQUIRED", "This route needs the header Idempotency-Key.")
    }
    return key
  }

  /// Without quotes and escapes; nil when it is no key.
  private static func parse(_ text: Substring) -> String? {
    let isSpace = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    let value = text.utf8.drop(while: isSpace)
    guard let end = value.lastIndex(where: { !isSpace($0) }) else { return nil }
    var rest = value[...end]
    var key: [UInt8] = []
    if rest.first == .quote {
      rest.removeFirst()
      guard rest.popLast() == .quote else { return nil }
      while var byte = rest.popFirst() {
        if byte == .backslash {
          guard let escaped = rest.popFirst(), escaped == .quote || escaped == .backslash else { return nil }
          byte = escaped
        } else if byte == .quote {
          return nil
        }
        key.append(byte)
      }
    } else {
      key = Array(rest)
    }
    guard (1...255).contains(key.count), key.allSatisfy({ (0x20...0x7e).contains($0) }) else { return nil }
    return String(decoding: key, as: UTF8.self)
  }
}
