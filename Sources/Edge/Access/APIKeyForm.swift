/// The form of our keys, `msk_<environment>_<random>_<checksum>`: 32 digits of base 62 and the CRC-32 of all before them in
/// six. A text without it was never a key, so that nobody needs to be asked.
enum APIKeyForm {
  static func matches(_ text: String) -> Bool {
    guard text.utf8.count <= 100 else { return false }
    let parts = text.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0].elementsEqual("msk".utf8), (1...16).contains(parts[1].count),
      parts[1].allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }), parts[2].count == 32,
      parts[2].allSatisfy(digits.contains)
    else { return false }
    return parts[3].elementsEqual(checksum(of: text.utf8[..<parts[2].endIndex]))
  }

  private static let digits = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  static func checksum(of body: some Sequence<UInt8>) -> [UInt8] {
    var rest = Int(~body.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ $0 >> 8 })
    var text: [UInt8] = []
    for _ in 0..<6 {
      text.append(digits[rest % 62])
      rest /= 62
    }
    return text.reversed()
  }

  /// Of ISO 3309, as gzip has it.
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
  }
}
