/// Integers and doubles as JSON spells them.
enum Numbers {
  /// The integer a JSON number or a string of one stands for: `7`, `-7`, also `7.0` and `7e2`, which are
  /// the same number. Nil when it has a fraction or does not fit the format.
  static func integer(_ text: UnsafeRawBufferPointer, format: IntegerFormat) -> UInt64? {
    guard let (isNegative, magnitude) = magnitude(text) else { return nil }
    if !format.isSigned {
      guard !isNegative || magnitude == 0, format.bits == 64 || magnitude <= UInt64(UInt32.max) else {
        return nil
      }
      return magnitude
    }
    let limit = UInt64(1) << UInt64(format.bits - 1)
    guard magnitude < limit || (isNegative && magnitude == limit) else { return nil }
    return isNegative ? 0 &- magnitude : magnitude
  }

  static func double(_ text: UnsafeRawBufferPointer) -> Double? {
    Double(String(decoding: text, as: UTF8.self))
  }

  /// Whether the text is a number by JSON's grammar; for strings and query parameters, which the scanner
  /// has not looked into.
  static func isNumber(_ text: UnsafeRawBufferPointer) -> Bool {
    var scanner = JSONScanner(text)
    guard let first = text.first, first == .minus || first.isDigit else { return false }
    return (try? scanner.number()) != nil && scanner.isAtEnd
  }

  private static func magnitude(_ text: UnsafeRawBufferPointer) -> (isNegative: Bool, UInt64)? {
    var index = 0
    let isNegative = text.first == .minus
    if isNegative { index = 1 }
    var value: UInt64 = 0
    while index < text.count, text[index].isDigit {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(text[index] - UInt8(ascii: "0")))
      guard !overflow, !carry else { return nil }
      value = sum
      index += 1
    }
    if index == text.count { return (isNegative, value) }
    // A fraction or an exponent. Doubles hold every integer up to 2^53, and nobody spells larger ones so.
    guard let double = double(text), double == double.rounded(), double.magnitude <= 0x1p53 else {
      return nil
    }
    return (isNegative, UInt64(double.magnitude))
  }
}
