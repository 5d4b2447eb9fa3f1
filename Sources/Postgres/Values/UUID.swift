/// A universally unique identifier (RFC 9562).
package struct UUID: Hashable, Sendable {
  /// The sixteen bytes, most significant first.
  package var high: UInt64
  package var low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Reads the 36-character form, hex digits of either case; nil for anything else.
  package init?(_ text: some StringProtocol) {
    var halves: (UInt64, UInt64) = (0, 0)
    var position = 0
    for byte in text.utf8 {
      switch position {
      case 8, 13, 18, 23:
        guard byte == UInt8(ascii: "-") else { return nil }
      case 0..<19:
        guard let digit = Self.digit(byte) else { return nil }
        halves.0 = halves.0 << 4 | digit
      case 19..<36:
        guard let digit = Self.digit(byte) else { return nil }
        halves.1 = halves.1 << 4 | digit
      default:
        return nil
      }
      position += 1
    }
    guard position == 36 else { return nil }
    (high, low) = halves
  }

  /// Version 7: ids made later sort later, so inserts land at the right edge of an index.
  /// - Parameter now: the time the id carries, in whole milliseconds.
  package static func v7(
    now: PostgresTimestamp, random: inout some RandomNumberGenerator
  ) -> UUID {
    let milliseconds = UInt64(max(0, now.microseconds / 1000)) & 0xFFFF_FFFF_FFFF
    return UUID(
      high: milliseconds << 16 | 0x7000 | random.next() & 0x0FFF,
      low: 0x8000_0000_0000_0000 | random.next() & 0x3FFF_FFFF_FFFF_FFFF)
  }

  /// Version 7 with the system's randomness.
  package static func v7(now: PostgresTimestamp) -> UUID {
    var random = SystemRandomNumberGenerator()
    return v7(now: now, random: &random)
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}

extension UUID: Comparable {
  package static func < (left: UUID, right: UUID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension UUID: CustomStringConvertible {
  /// The 36-character form in lower case.
  package var description: String {
    String(unsafeUninitializedCapacity: 36) { text in
      var position = 0
      for index in 0..<32 {
        if index == 8 || index == 12 || index == 16 || index == 20 {
          text[position] = UInt8(ascii: "-")
          position += 1
        }
        let half = index < 16 ? high : low
        let digit = UInt8(truncatingIfNeeded: half >> UInt64(60 - 4 * (index % 16))) & 0xF
        text[position] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
        position += 1
      }
      return position
    }
  }
}

extension UUID: PostgresValue {
  package static var postgresType: PostgresType { .uuid }
  package func encode(into writer: inout WireWriter) {
    writer.write(high)
    writer.write(low)
  }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> UUID {
    UUID(high: try reader.read(), low: try reader.read())
  }
}

extension UUID: Codable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let uuid = UUID(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "no UUID: \(text)")
    }
    self = uuid
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
