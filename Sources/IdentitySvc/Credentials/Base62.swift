/// Digits and letters: what passes through every header, URL and shell as it is, and is selected by a double click.
enum Base62 {
  static let digits = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  /// Digits from the system's source of randomness: 5.954 bits each.
  static func random(_ count: Int) -> String {
    var random = SystemRandomNumberGenerator()
    return String(
      decoding: (0..<count).map { _ in digits[Int.random(in: 0..<62, using: &random)] }, as: UTF8.self)
  }

  /// A number in exactly so many digits, the most significant first.
  static func text(_ number: UInt32, width: Int) -> String {
    var rest = Int(number)
    var text: [UInt8] = []
    for _ in 0..<width {
      text.append(digits[rest % 62])
      rest /= 62
    }
    return String(decoding: text.reversed(), as: UTF8.self)
  }

  static func isDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: false
    }
  }
}
