/// Percent-decoding of one path segment or query component, strictly.
enum PercentDecoding {
  enum Failure: Error, CustomStringConvertible {
    case badEscape, notUTF8, containsNUL

    var description: String {
      switch self {
      case .badEscape: "A % must be followed by two hexadecimal digits."
      case .notUTF8: "The path and query must be UTF-8 once decoded."
      case .containsNUL: "The path and query must not contain NUL."
      }
    }
  }

  /// - Parameter plusIsSpace: as forms and therefore queries have it; paths do not.
  static func decode(_ text: Substring, plusIsSpace: Bool) -> Result<String, Failure> {
    let isPlain = text.utf8.allSatisfy {
      $0 != UInt8(ascii: "%") && $0 < 0x80 && $0 != 0 && !(plusIsSpace && $0 == .plus)
    }
    if isPlain { return .success(String(text)) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var iterator = text.utf8.makeIterator()
    while let byte = iterator.next() {
      if byte == UInt8(ascii: "%") {
        guard let high = iterator.next()?.hexValue, let low = iterator.next()?.hexValue else {
          return .failure(.badEscape)
        }
        bytes.append(high << 4 | low)
      } else {
        bytes.append(plusIsSpace && byte == .plus ? UInt8(ascii: " ") : byte)
      }
    }
    guard !bytes.contains(0) else { return .failure(.containsNUL) }
    guard bytes.withUnsafeBytes({ UTF8Check.isValid($0) }) else { return .failure(.notUTF8) }
    return .success(String(decoding: bytes, as: UTF8.self))
  }
}
