import Crypto
import MainstreetAPI
import NIOCore
import Postgres
import ServiceKit

/// A key that principals and access tokens are signed with, as the database has it.
struct SigningKey: Sendable {
  let id: String
  let publicKey: [UInt8]
  let sealedPrivateKey: [UInt8]
  let activeFrom: Instant
  let isWithdrawn: Bool

  var rule: SigningKeyRules.Key { .init(id: id, activeFrom: activeFrom, isWithdrawn: isWithdrawn) }

  var webKey: JsonWebKey {
    JsonWebKey(kty: "OKP", crv: "Ed25519", x: Base64URL.encode(publicKey), kid: id, use: "sig", alg: "EdDSA")
  }

  /// The id of a public key: the beginning of its thumbprint (RFC 7638, with the members of RFC 8037).
  static func id(of publicKey: [UInt8]) -> String {
    let text = "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"\(Base64URL.encode(publicKey))\"}"
    return Base64URL.encode(SHA256.hash(data: Array(text.utf8)).prefix(idBytes))
  }

  /// It travels with every call; nobody gains by finding another key of the same id, since only ours are looked up.
  private static let idBytes = 12
}

/// Why there is nothing to sign with.
enum SigningKeyError: Error, Hashable, CustomStringConvertible {
  case cannotOpen(String)
  case none

  var description: String {
    switch self {
    case .cannotOpen(let id):
      "the signing key \(id) is not closed with the key in --key-encryption-key; put the key back it was closed with, or run `rotate-keys --compromised` to go on with new ones"
    case .none: "there is no signing key"
    }
  }
}

struct ListSigningKeys: Statement {
  static let name = "ListSigningKeys"
  static let sql = """
    SELECT kid, public_key, sealed_private, active_from, withdrawn_at IS NOT NULL FROM identity.signing_keys_all()
    """
  static let isIdempotent = true

  static func decode(_ row: inout RowReader) throws -> SigningKey {
    SigningKey(
      id: try row.next(), publicKey: Array(try row.next(ByteBuffer.self).readableBytesView),
      sealedPrivateKey: Array(try row.next(ByteBuffer.self).readableBytesView), activeFrom: try row.next(),
      isWithdrawn: try row.next())
  }
}

/// Held until the transaction ends: instances that find it is time for a key make one, not one each.
struct LockSigningKeys: Statement {
  static let name = "LockSigningKeys"
  static let sql = "SELECT pg_advisory_xact_lock(hashtext('identity.signing_keys'), 0)"
}

struct AddSigningKey: Statement {
  static let name = "AddSigningKey"
  static let sql = "SELECT identity.signing_key_add($1, $2, $3, $4, $5)"
  var key: SigningKey
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(key.id)
    bindings.append(ByteBuffer(bytes: key.publicKey))
    bindings.append(ByteBuffer(bytes: key.sealedPrivateKey))
    bindings.append(now)
    bindings.append(key.activeFrom)
  }
}

struct WithdrawSigningKeys: Statement {
  static let name = "WithdrawSigningKeys"
  static let sql = "SELECT kid FROM identity.signing_keys_withdraw($1, $2) AS kid"
  var keeping: String
  var now: Instant

  func bind(into bindings: inout Bindings) {
    bindings.append(keeping)
    bindings.append(now)
  }

  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
