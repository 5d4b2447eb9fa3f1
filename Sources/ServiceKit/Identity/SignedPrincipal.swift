/// The text of a principal, taken apart: `v1.<kid>.<claims>.<signature>`. What it says is not to be believed before the
/// signature has been verified.
struct SignedPrincipal {
  /// Claims are a few hundred bytes; a text that is longer than this is none of ours.
  static let maxBytes = 4096
  static let maxKeyIDBytes = 64
  static let signatureBytes = 64

  let keyID: String
  /// `v1.<kid>.<claims>`
  let signed: [UInt8]
  let claims: [UInt8]
  let signature: [UInt8]

  /// Nil for any other text than one that `PrincipalSigner` makes: the signature covers the text, so nothing is to be
  /// written in two ways.
  init?(_ text: String) {
    guard text.utf8.count <= Self.maxBytes else { return nil }
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0].elementsEqual("v1".utf8), Self.isKeyID(parts[1]),
      let claims = Base64URL.decode(parts[2]), !claims.isEmpty,
      let signature = Base64URL.decode(parts[3]), signature.count == Self.signatureBytes
    else { return nil }
    keyID = String(Substring(parts[1]))
    signed = Array(text.utf8[..<parts[2].endIndex])
    self.claims = claims
    self.signature = signature
  }

  static func isKeyID(_ text: some Collection<UInt8>) -> Bool {
    (1...maxKeyIDBytes).contains(text.count)
      && text.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  /// What is signed, and what is sent when the signature has been added.
  static func text(keyID: String, claims: some Sequence<UInt8>) -> String {
    "v1.\(keyID).\(Base64URL.encode(claims))"
  }
}
