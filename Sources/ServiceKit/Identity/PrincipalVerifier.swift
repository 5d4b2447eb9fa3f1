internal import Crypto
internal import Glibc
package import MainstreetAPI
internal import NIOCore
package import RPC
internal import Synchronization

/// Decides whether the text of a principal was signed by identity and still counts.
///
/// It waits for nothing: the keys are brought to it, by `VerificationKeys` or, in identity itself, from its database.
package final class PrincipalVerifier: Sendable {
  package struct Limits: Sendable {
    /// How much the clocks of the signer and of this machine may differ, in seconds.
    package var skewSeconds: Int64 = 5
    /// Verified principals that are remembered.
    package var remembered = 8192
    /// Between two requests for keys, in seconds, however many principals name a key that is not known.
    package var requestIntervalSeconds: Int64 = 10

    package init() {}
  }

  private struct State {
    /// Nil before there were any.
    var keys: [String: Curve25519.Signing.PublicKey]?
    var verified: VerifiedPrincipals
    var requestedAt = Int64.min
  }

  private let state: Mutex<State>
  private let limits: Limits
  private let now: @Sendable () -> Int64
  /// An element whenever a principal names a key that is not known, but not too often.
  let keyRequests: AsyncStream<Void>
  private let requestKeys: AsyncStream<Void>.Continuation

  /// - Parameter now: seconds since 1970.
  package init(limits: Limits = Limits(), now: @escaping @Sendable () -> Int64 = unixSeconds) {
    self.limits = limits
    self.now = now
    state = Mutex(State(verified: VerifiedPrincipals(capacity: limits.remembered)))
    (keyRequests, requestKeys) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// The keys that count from now on. What was verified with one that is not among them does not count any more.
  /// - Throws: `UnusableKey`, and changes nothing.
  package func use(_ keys: [JsonWebKey]) throws {
    var usable: [String: Curve25519.Signing.PublicKey] = [:]
    for key in keys { usable[key.kid] = try Curve25519.Signing.PublicKey(key) }
    state.withLock { state in
      let isAnyGone = (state.keys ?? [:]).contains { id, key in
        usable[id]?.rawRepresentation != key.rawRepresentation
      }
      if isAnyGone { state.verified.removeAll() }
      state.keys = usable
    }
  }

  /// Whether there were any keys yet.
  package var hasKeys: Bool { state.withLock { $0.keys != nil } }

  /// Who the text says the caller is.
  /// - Throws: UNAUTHENTICATED with what is wrong with it; UNAVAILABLE while there are no keys to verify it with.
  package func verify(_ text: String) throws(RPCError) -> Principal {
    // As the signer's clock may show it.
    let earliest = now() - limits.skewSeconds
    if let principal = state.withLock({ $0.verified.find(text, now: earliest) }) { return principal }
    guard let signed = SignedPrincipal(text) else { throw .unreadablePrincipal }
    let key = try key(signed.keyID)
    // Outside of the lock: it takes long, and nobody but this caller waits for it.
    guard key.isValidSignature(signed.signature, for: signed.signed) else {
      throw RPCError(
        .unauthenticated, "the principal is not signed by identity", reason: "PRINCIPAL_NOT_SIGNED")
    }
    guard let claims = try? PrincipalClaims(decoding: ByteBuffer(bytes: signed.claims)),
      let principal = Principal(claims)
    else { throw .unreadablePrincipal }
    guard earliest < principal.expiresAt else {
      throw RPCError(.unauthenticated, "the principal has expired", reason: "PRINCIPAL_EXPIRED")
    }
    state.withLock { state in
      // The key may have been withdrawn meanwhile.
      guard state.keys?[signed.keyID]?.rawRepresentation == key.rawRepresentation else { return }
      state.verified.insert(principal, as: text, now: earliest)
    }
    return principal
  }

  var rememberedCount: Int { state.withLock { $0.verified.count } }

  private func key(_ id: String) throws(RPCError) -> Curve25519.Signing.PublicKey {
    let (keys, isRequest) = state.withLock { state in
      guard state.keys?[id] == nil, state.requestedAt <= now() - limits.requestIntervalSeconds else {
        return (state.keys, false)
      }
      state.requestedAt = now()
      return (state.keys, true)
    }
    if isRequest { requestKeys.yield() }
    guard let keys else {
      throw RPCError(
        .unavailable, "the keys that principals are verified with are not known yet",
        reason: "IDENTITY_UNAVAILABLE", retryAfter: .seconds(1))
    }
    guard let key = keys[id] else {
      throw RPCError(
        .unauthenticated, "the principal names a key that is not known", reason: "UNKNOWN_KEY")
    }
    return key
  }
}

/// The wall clock's seconds since 1970.
@Sendable package func unixSeconds() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Int64(time.tv_sec)
}

/// A key that is none of the kind we sign with.
package struct UnusableKey: Error, CustomStringConvertible {
  package let keyID: String
  package var description: String { "the key \"\(keyID)\" is no Ed25519 public key in the form of RFC 8037" }
}

extension Curve25519.Signing.PublicKey {
  init(_ key: JsonWebKey) throws(UnusableKey) {
    guard key.kty == "OKP", key.crv == "Ed25519", SignedPrincipal.isKeyID(key.kid.utf8),
      let bytes = Base64URL.decode(key.x.utf8), let key = try? Self(rawRepresentation: bytes)
    else { throw UnusableKey(keyID: key.kid) }
    self = key
  }
}

extension RPCError {
  static let unreadablePrincipal = RPCError(
    .unauthenticated, "the principal cannot be read", reason: "MALFORMED_PRINCIPAL")
}
