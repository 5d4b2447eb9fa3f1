/// RFC 4648. In: the standard or the URL-safe alphabet, padded or not (the protobuf JSON mapping). Out: standard, padded.
enum Base64 {
  static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    var count = text.count
    if count % 4 == 0 {
      while count > 0, count > text.count - 2, text[count - 1] == UInt8(ascii: "=") { count -= 1 }
    }
    guard count % 4 != 1 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count * 3 / 4)
    var group: UInt32 = 0
    var bits = 0
    for index in 0..<count {
      guard let value = value(text[index]) else { return nil }
      group = group << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
      }
    }
    // Bits that no byte has room for must be zero, or two texts would mean the same bytes.
    guard group & (1 << UInt32(bits) - 1) == 0 else { return nil }
    return bytes
  }

  static func encode(_ bytes: UnsafeRawBufferPointer, _ append: (UInt8) -> Void) {
    var index = 0
    while index < bytes.count {
      let left = bytes.count - index
      let group =
        UInt32(bytes[index]) << 16 | (left > 1 ? UInt32(bytes[index + 1]) << 8 : 0)
        | (left > 2 ? UInt32(bytes[index + 2]) : 0)
      append(character(group >> 18))
      append(character(group >> 12 & 63))
      append(left > 1 ? character(group >> 6 & 63) : UInt8(ascii: "="))
      append(left > 2 ? character(group & 63) : UInt8(ascii: "="))
      index += 3
    }
  }

  private static func character(_ value: UInt32) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: value)
    return switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }

  private static func value(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
    case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
