internal import Crypto
package import Postgres

/// Makes the cursors of a list, and knows its own again: base64url of where the page ended, and of an HMAC (SHA-256, the
/// first 16 bytes) over that and the tenant. Nobody can make one up, nor use one of another list or tenant.
package struct CursorSigner: Sendable {
  private let key: SymmetricKey

  private static let tagBytes = 16

  /// - Parameter list: names it among those of the service.
  package init(_ secret: SealingSecret, list: String) {
    key = secret.key(for: "cursors of \(list)")
  }

  /// - Parameter tenant: whose list it is; nil for one of all tenants.
  package func text(_ place: [UInt8], tenant: UUID?) -> String {
    Base64URL.encode(place + tag(place, tenant))
  }

  /// What `text` was given; nil for a cursor that it did not make for this list and tenant.
  package func place(_ cursor: String, tenant: UUID?) -> [UInt8]? {
    guard let bytes = Base64URL.decode(cursor.utf8), bytes.count >= Self.tagBytes else { return nil }
    let place = Array(bytes.dropLast(Self.tagBytes))
    // Takes as long whichever byte differs.
    let difference = zip(bytes.suffix(Self.tagBytes), tag(place, tenant)).reduce(into: UInt8(0)) {
      $0 |= $1.0 ^ $1.1
    }
    return difference == 0 ? place : nil
  }

  private func tag(_ place: [UInt8], _ tenant: UUID?) -> [UInt8] {
    let owner = tenant.map { "\($0)" } ?? ""
    return Array(HMAC<SHA256>.authenticationCode(for: Array("\(owner)\n".utf8) + place, using: key))
      .dropLast(SHA256.byteCount - Self.tagBytes)
  }
}

// What places are made of.

extension UUID {
  package var bytes: [UInt8] { high.bytes + low.bytes }

  /// Nil unless there are 16.
  package init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 16 else { return nil }
    self.init(high: UInt64(bytes: bytes.prefix(8)), low: UInt64(bytes: bytes.dropFirst(8)))
  }
}

extension UInt64 {
  package var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - $0 * 8)) } }

  package init(bytes: some Sequence<UInt8>) {
    self = bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }
}
