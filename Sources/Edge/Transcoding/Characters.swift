/// The bytes JSON is punctuated with.
extension UInt8 {
  static let quote = UInt8(ascii: "\"")
  static let backslash = UInt8(ascii: "\\")
  static let comma = UInt8(ascii: ",")
  static let colon = UInt8(ascii: ":")
  static let openBrace = UInt8(ascii: "{")
  static let closeBrace = UInt8(ascii: "}")
  static let openBracket = UInt8(ascii: "[")
  static let closeBracket = UInt8(ascii: "]")
  static let minus = UInt8(ascii: "-")
  static let plus = UInt8(ascii: "+")

  @inline(__always)
  var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }

  var hexValue: UInt8? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

/// A Unicode scalar value, as an escape spells it.
extension UInt32 {
  var utf8Length: Int {
    self < 0x80 ? 1 : self < 0x800 ? 2 : self < 0x10000 ? 3 : 4
  }

  func appendUTF8(to bytes: inout [UInt8]) {
    if self < 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: self))
    } else if self < 0x800 {
      bytes.append(UInt8(truncatingIfNeeded: 0xC0 | self >> 6))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | self & 0x3F))
    } else if self < 0x10000 {
      bytes.append(UInt8(truncatingIfNeeded: 0xE0 | self >> 12))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | self >> 6 & 0x3F))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | self & 0x3F))
    } else {
      bytes.append(UInt8(truncatingIfNeeded: 0xF0 | self >> 18))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | self >> 12 & 0x3F))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | self >> 6 & 0x3F))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | self & 0x3F))
    }
  }
}

/// Well-formed UTF-8 as Unicode's table 3-7 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
enum UTF8Check {
  /// Length of the sequence that begins at `index` with a byte of 0x80 or more; 0 when it is not one.
  @inline(__always)
  static func sequenceLength(in bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
    let lead = bytes[index]
    let left = bytes.count - index
    func continues(_ offset: Int, from low: UInt8 = 0x80, to high: UInt8 = 0xBF) -> Bool {
      let byte = bytes[index + offset]
      return byte >= low && byte <= high
    }
    switch lead {
    case 0xC2...0xDF:
      return left >= 2 && continues(1) ? 2 : 0
    case 0xE0...0xEF:
      let low: UInt8 = lead == 0xE0 ? 0xA0 : 0x80
      let high: UInt8 = lead == 0xED ? 0x9F : 0xBF
      return left >= 3 && continues(1, from: low, to: high) && continues(2) ? 3 : 0
    case 0xF0...0xF4:
      let low: UInt8 = lead == 0xF0 ? 0x90 : 0x80
      let high: UInt8 = lead == 0xF4 ? 0x8F : 0xBF
      return left >= 4 && continues(1, from: low, to: high) && continues(2) && continues(3) ? 4 : 0
    default:
      return 0
    }
  }

  static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index < bytes.count {
      if bytes[index] < 0x80 {
        index += 1
      } else {
        let width = sequenceLength(in: bytes, at: index)
        guard width > 0 else { return false }
        index += width
      }
    }
    return true
  }
}
