package import Crypto
internal import Logging

/// What only the instances of one service know. Keys are made from it for what the service hands out and must know again
/// (HKDF, RFC 5869), one for each purpose.
package struct SealingSecret: Sendable {
  private let material: SymmetricKey

  /// - Parameter text: at least 32 bytes that nobody can guess.
  package init?(_ text: String) {
    guard text.utf8.count >= 32 else { return nil }
    material = SymmetricKey(data: Array(text.utf8))
  }

  private init(material: SymmetricKey) {
    self.material = material
  }

  /// One that is forgotten when the process ends.
  package static func random() -> SealingSecret { SealingSecret(material: SymmetricKey(size: .bits256)) }

  /// The same for the same purpose, and telling nothing of any other.
  package func key(for purpose: String) -> SymmetricKey {
    HKDF<SHA256>.deriveKey(
      inputKeyMaterial: material, info: Array("mainstreet \(purpose)".utf8), outputByteCount: 32)
  }
}

extension Setting {
  /// What every service is told that hands out what it must know again.
  package static let sealingSecret = Setting(
    "sealing.secret", optional: true, secret: true,
    help: """
      At least 32 bytes from a random source, the same for all instances: signs cursors and seals answers. Without it \
      each process makes its own, and does not know again what another handed out.
      """)
}

extension ServiceContext {
  /// The service's secret. Its settings include `Setting.sealingSecret`.
  package func sealingSecret() throws -> SealingSecret {
    guard let text = settings.optional("sealing.secret") else {
      logger.warning(
        "no sealing secret is set: cursors and sealed answers are known to this process alone",
        metadata: ["setting": "\(settings.name("sealing.secret"))"])
      return .random()
    }
    guard let secret = SealingSecret(text) else {
      throw StartupFailure("\(settings.name("sealing.secret")) must have at least 32 bytes")
    }
    return secret
  }
}
