package import Crypto
package import MainstreetAPI
internal import NIOCore
internal import RPC

/// Signs principals. Identity has one, and so have tests.
package struct PrincipalSigner: Sendable {
  package let keyID: String
  private let key: Curve25519.Signing.PrivateKey

  /// - Parameter keyID: 1 to 64 letters, digits, `-` and `_`.
  package init(keyID: String, key: Curve25519.Signing.PrivateKey) {
    precondition(SignedPrincipal.isKeyID(keyID.utf8), "a principal with the key id \(keyID) cannot be read")
    self.keyID = keyID
    self.key = key
  }

  /// A signer with a new key.
  package init(keyID: String) {
    self.init(keyID: keyID, key: Curve25519.Signing.PrivateKey())
  }

  /// The text to send as `mainstreet-principal`.
  package func sign(_ claims: PrincipalClaims) throws -> String {
    let text = SignedPrincipal.text(keyID: keyID, claims: claims.encoded().readableBytesView)
    return "\(text).\(Base64URL.encode(try key.signature(for: Array(text.utf8))))"
  }

  /// What its signatures are verified with.
  package var verificationKey: JsonWebKey {
    JsonWebKey(
      kty: "OKP", crv: "Ed25519", x: Base64URL.encode(key.publicKey.rawRepresentation), kid: keyID,
      use: "sig",
      alg: "EdDSA")
  }
}
