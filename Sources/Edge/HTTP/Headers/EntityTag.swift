import Crypto
import NIOCore

/// A strong validator (RFC 9110, 8.8.3): the first half of the body's SHA-256. The same bytes have the same tag on every
/// Edge and after every restart, and nobody can make others that have it; a kibibyte takes less than a microsecond.
struct EntityTag: Equatable, Sendable {
  let value: String

  /// Larger bodies have none: hashing them would hold up the loop.
  static let maxBodyBytes = 64 << 10

  /// - Parameter coding: how the body will be sent; the same content compressed is another representation.
  init(of body: ByteBuffer, coding: ContentCoding) {
    let digest = body.withUnsafeReadableBytes { SHA256.hash(data: $0) }
    let hex = String(unsafeUninitializedCapacity: 32) { text in
      for (index, byte) in digest.prefix(16).enumerated() {
        text[2 * index] = Self.digits[Int(byte >> 4)]
        text[2 * index + 1] = Self.digits[Int(byte & 0xF)]
      }
      return 32
    }
    value = coding == .identity ? "\"\(hex)\"" : "\"\(hex)-\(coding.rawValue)\""
  }

  private static let digits = Array("0123456789abcdef".utf8)

  /// Whether a client that sent this as If-None-Match has the representation: it is `*`, or among the tags, weak or not
  /// (RFC 9110, 13.1.2). What cannot be read matches nothing.
  func matches(ifNoneMatch field: String) -> Bool {
    if field == "*" { return true }
    var rest = field[...]
    while true {
      rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
      if rest.hasPrefix("W/") { rest = rest.dropFirst(2) }
      guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else { return false }
      if rest[...end] == value { return true }
      rest = rest[rest.index(after: end)...]
    }
  }
}
