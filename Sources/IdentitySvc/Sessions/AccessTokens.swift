import Crypto
import JWTKit
import Postgres
import ServiceKit

import struct FoundationEssentials.Data
import class FoundationEssentials.JSONDecoder

/// Access tokens: JWTs (RFC 9068 in shape) that are good for ten minutes, signed with EdDSA by the key that signs
/// principals, for clients to send and for anybody to verify by the public key set.
struct AccessTokens: Sendable {
  let keys: SigningKeys
  let issuer: String
  let audience: String
  var now: @Sendable () -> Instant = { .now() }

  static let life = Duration.minutes(10)
  /// Seconds, as answers tell it.
  static let lifeSeconds: Int32 = 600
  private static let type = "at+jwt"
  private static let algorithm = "EdDSA"
  /// How much the clocks of instances may differ.
  private static let skew = Duration.seconds(5)

  /// What a token says.
  struct Claims: Hashable, Sendable {
    var account: UUID
    var session: UUID
    /// Nil for a platform admin who acts in none.
    var tenant: UUID?
    var roles: [String]
    var expiresAt: Instant
  }

  func sign(account: UUID, session: UUID, tenant: UUID?, roles: [String]) async throws -> String {
    let signer = try keys.signer()
    let now = now()
    let payload = Payload(
      iss: issuer, aud: audience, sub: "\(account)", sid: "\(session)", tid: tenant?.description,
      roles: roles,
      iat: now.seconds, exp: (now + Self.life).seconds)
    let collection = JWTKeyCollection()
    await collection.add(eddsa: EdDSA.PrivateKey(backing: signer.key), kid: JWKIdentifier(string: signer.id))
    var header = JWTHeader()
    header.typ = Self.type
    return try await collection.sign(payload, kid: JWKIdentifier(string: signer.id), header: header)
  }

  /// - Throws: `AccessError.badToken` for whatever these keys did not sign as an access token of ours,
  ///   `AccessError.expiredToken`.
  func verify(_ token: String) async throws(AccessError) -> Claims {
    let payload = try await payload(of: token)
    guard payload.iss == issuer, payload.aud == audience, let account = UUID(payload.sub),
      let session = UUID(payload.sid)
    else { throw .badToken }
    let tenant = payload.tid.flatMap { UUID($0) }
    guard (payload.tid == nil) == (tenant == nil), let end = Self.instant(payload.exp),
      let beginning = Self.instant(payload.iat), beginning <= now() + Self.skew
    else { throw .badToken }
    guard now() < end else { throw .expiredToken }
    return Claims(account: account, session: session, tenant: tenant, roles: payload.roles, expiresAt: end)
  }

  /// The library takes the first key there is for an id it does not know, and does not look at `alg`; so the header is
  /// looked at here, and the library is given the one key that it names.
  private func payload(of token: String) async throws(AccessError) -> Payload {
    let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard token.utf8.count <= 4096, parts.count == 3,
      // One text for one token: the library would read several spellings of the same bytes.
      let header = Base64URL.decode(parts[0]), Base64URL.decode(parts[1]) != nil,
      Base64URL.decode(parts[2])?.count == 64,
      let fields = try? JSONDecoder().decode(JWTHeader.self, from: Data(header)),
      fields.fields.count == 3, fields.alg == Self.algorithm, fields.typ == Self.type,
      let id = fields.kid, let key = keys.publicKey(id)
    else { throw .badToken }
    let collection = JWTKeyCollection()
    await collection.add(eddsa: EdDSA.PublicKey(backing: key), kid: JWKIdentifier(string: id))
    do {
      return try await collection.verify(token, as: Payload.self)
    } catch {
      throw .badToken
    }
  }

  private static func instant(_ seconds: Int64) -> Instant? {
    guard (0..<253_402_300_800).contains(seconds) else { return nil }
    return Instant(microseconds: seconds * 1_000_000)
  }
}

/// The names are those of RFC 7519; `sid` is the session, `tid` the tenant.
private struct Payload: JWTPayload {
  var iss: String
  var aud: String
  var sub: String
  var sid: String
  var tid: String?
  var roles: [String]
  var iat: Int64
  var exp: Int64

  /// What it says is checked by `AccessTokens`, against its own clock.
  func verify(using algorithm: some JWTAlgorithm) {}
}
