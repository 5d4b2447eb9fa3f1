/// `grpc-message`: UTF-8 with every byte outside printable ASCII, and `%` itself, written as `%XX`
/// (PROTOCOL-HTTP2.md, "Responses"). So is a space in front or at the end, which HTTP takes for no part of the value.
enum PercentCoding {
  static func encode(_ message: String) -> [UInt8] {
    var encoded: [UInt8] = []
    encoded.reserveCapacity(message.utf8.count)
    let last = message.utf8.count - 1
    for (index, byte) in message.utf8.enumerated() {
      let isOuterSpace = byte == UInt8(ascii: " ") && (index == 0 || index == last)
      if (0x20...0x7e).contains(byte), byte != UInt8(ascii: "%"), !isOuterSpace {
        encoded.append(byte)
      } else {
        encoded += [UInt8(ascii: "%"), hexDigit(byte >> 4), hexDigit(byte & 0xf)]
      }
    }
    return encoded
  }

  /// Never fails: an escape that is none stays as it is, and bytes that are no UTF-8 become U+FFFD. A status
  /// must not be lost because its message is damaged.
  static func decode(_ bytes: some Collection<UInt8>) -> String {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var rest = bytes[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(2)
      if byte == UInt8(ascii: "%"), digits.count == 2,
        let high = digits.first.flatMap(value), let low = digits.dropFirst().first.flatMap(value)
      {
        decoded.append(high << 4 | low)
        rest = rest.dropFirst(2)
      } else {
        decoded.append(byte)
      }
    }
    return String(decoding: decoded, as: UTF8.self)
  }

  private static func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
