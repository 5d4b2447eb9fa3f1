internal import Crypto
internal import NIOCore
internal import RPC

/// Encrypts answers that hold secrets (AES-256-GCM, a random nonce each). The key of each is made from the service's
/// secret and the caller's idempotency key (HKDF, RFC 5869), so that whoever reads the table cannot read them, and one
/// caller's answer opens with no other's key.
struct AnswerSeal: Sendable {
  private let secret: SymmetricKey

  init(_ secret: SealingSecret) {
    self.secret = secret.key(for: "idempotent answers")
  }

  func close(_ answer: ByteBuffer, of call: KeyedCall) throws -> ByteBuffer {
    let box = try AES.GCM.seal(Array(buffer: answer), using: key(call), authenticating: call.scope)
    guard let bytes = box.combined else { throw RPCError(.internal, "the answer cannot be sealed") }
    return ByteBuffer(bytes: bytes)
  }

  /// - Throws: also when the secret is not the one it was sealed with.
  func open(_ sealed: ByteBuffer, of call: KeyedCall) throws -> ByteBuffer {
    let box = try AES.GCM.SealedBox(combined: Array(buffer: sealed))
    return ByteBuffer(bytes: try AES.GCM.open(box, using: key(call), authenticating: call.scope))
  }

  private func key(_ call: KeyedCall) -> SymmetricKey {
    HKDF<SHA256>.deriveKey(
      inputKeyMaterial: secret, salt: Array(call.key.utf8), info: call.scope, outputByteCount: 32)
  }
}

extension KeyedCall {
  /// All but the key.
  fileprivate var scope: [UInt8] { Array("\(tenant)\n\(subject)\n\(method)".utf8) }
}
