/// The text of an API key: `msk_<environment>_<random>_<checksum>`.
///
/// The random part has 32 digits of base 62, 190 bits; the checksum, CRC-32 of all before it in six digits, lets a typo
/// be refused and a scanner of leaked secrets be sure. Environments keep a key of one place from being tried in another.
struct ApiKeyText: Hashable, Sendable {
  let text: String

  static let randomDigits = 32
  private static let checksumDigits = 6
  /// What is remembered of the random part, to tell keys from each other.
  private static let prefixDigits = 4

  static func random(environment: String) -> ApiKeyText {
    let body = "msk_\(environment)_\(Base62.random(randomDigits))"
    return ApiKeyText(text: "\(body)_\(checksum(of: body))")
  }

  private init(text: String) { self.text = text }

  /// Nil for what was never a key: nobody needs to look it up.
  init?(_ text: String) {
    guard text.utf8.count <= 100 else { return nil }
    let parts = text.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "msk", Self.isEnvironment(parts[1]),
      parts[2].utf8.count == Self.randomDigits, parts[2].utf8.allSatisfy(Base62.isDigit),
      parts[3] == Self.checksum(of: text[..<parts[2].endIndex])
    else { return nil }
    self.text = text
  }

  static func isEnvironment(_ text: some StringProtocol) -> Bool {
    (1...16).contains(text.utf8.count)
      && text.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
  }

  var hash: TokenHash { TokenHash(of: text) }

  /// How the key begins: enough to find it in a list, far too little to guess the rest.
  var prefix: String {
    let tail = Self.randomDigits - Self.prefixDigits + 1 + Self.checksumDigits
    return String(text.dropLast(tail))
  }

  private static func checksum(of body: some StringProtocol) -> String {
    Base62.text(CRC32.checksum(body.utf8), width: checksumDigits)
  }
}
