import Crypto
import FoundationEssentials
import ServiceKit

/// Closes the private parts of signing keys, so that who reads the database cannot sign: ChaCha20-Poly1305 (RFC 8439)
/// under a key of the settings, bound to the id of what it closes.
struct KeySeal: Sendable {
  /// The first one closes; all of them open, so that the key can be changed.
  private let keys: [SymmetricKey]

  static let keyBytes = 32

  /// - Parameter text: base64 of 32 bytes; several separated by commas.
  init(_ text: String) throws {
    keys = try text.split(separator: ",").map { part in
      guard let bytes = Data(base64Encoded: String(part)), bytes.count == Self.keyBytes else {
        throw StartupFailure(
          "--key-encryption-key must be 32 bytes in base64, as `head -c 32 /dev/urandom | base64` makes them")
      }
      return SymmetricKey(data: bytes)
    }
    guard !keys.isEmpty else { throw StartupFailure("--key-encryption-key is empty") }
  }

  func close(_ secret: some DataProtocol, of id: String) throws -> [UInt8] {
    Array(try ChaChaPoly.seal(secret, using: keys[0], authenticating: Array(id.utf8)).combined)
  }

  /// Nil when none of the keys fits.
  func open(_ sealed: [UInt8], of id: String) -> [UInt8]? {
    guard let box = try? ChaChaPoly.SealedBox(combined: sealed) else { return nil }
    for key in keys {
      if let secret = try? ChaChaPoly.open(box, using: key, authenticating: Array(id.utf8)) {
        return Array(secret)
      }
    }
    return nil
  }
}
