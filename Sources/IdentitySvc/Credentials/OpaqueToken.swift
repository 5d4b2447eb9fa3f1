/// A random text that stands for something only the database knows: 256 bits behind a prefix that says of what kind.
struct OpaqueToken: Hashable, Sendable {
  enum Kind: String { case refresh = "msr", invitation = "msi" }

  let text: String
  var hash: TokenHash { TokenHash(of: text) }

  /// 43 digits of 5.954 bits are 256 bits.
  private static let digits = 43

  static func random(_ kind: Kind) -> OpaqueToken {
    OpaqueToken(text: "\(kind.rawValue)_\(Base62.random(digits))")
  }
}
