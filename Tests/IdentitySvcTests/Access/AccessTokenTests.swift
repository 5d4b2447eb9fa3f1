import Crypto
import Foundation
import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Access tokens")
struct AccessTokenTests {
  /// A token as an attacker makes it: any header and claims, and any signature over them.
  struct Forgery {
    var header: [String: Any]
    var claims: [String: Any]

    func text(signature: (String) throws -> [UInt8]) throws -> String {
      let parts = try [header, claims].map {
        Base64URL.encode(try JSONSerialization.data(withJSONObject: $0, options: .sortedKeys))
      }
      let signed = parts.joined(separator: ".")
      return "\(signed).\(Base64URL.encode(try signature(signed)))"
    }
  }

  /// A token of ours taken apart.
  private func parts(_ token: String) throws -> Forgery {
    let objects = try token.split(separator: ".").prefix(2).map { part in
      try JSONSerialization.jsonObject(with: Data(try #require(Base64URL.decode(part.utf8))))
        as? [String: Any]
    }
    return Forgery(header: try #require(objects[0]), claims: try #require(objects[1]))
  }

  @Test("A token says whose it is, for whom and until when")
  func claims() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let token = try parts(owner.token)
      #expect(token.header["alg"] as? String == "EdDSA")
      #expect(token.header["typ"] as? String == "at+jwt")
      #expect(token.header["kid"] as? String == house.keys.published.first?.kid)
      #expect(token.claims["iss"] as? String == "test")
      #expect(token.claims["aud"] as? String == "tests")
      #expect(token.claims["sub"] as? String == "\(owner.account)")
      #expect(token.claims["tid"] as? String == "\(owner.tenant)")
      #expect(token.claims["roles"] as? [String] == ["owner"])
      #expect(token.claims["exp"] as? Int64 == (token.claims["iat"] as? Int64).map { $0 + 600 })
      let exchanged = try await house.exchange(.accessToken(owner.token))
      #expect(exchanged.claims?.subject == "account:\(owner.account)")
      #expect(exchanged.claims?.roles == ["owner"])
      #expect(exchanged.claims?.scopes == [])
    }
  }

  @Test(
    "A token that was not signed so by one of our keys is none",
    arguments: [
      "none", "None", "", "HS256", "EdDSA", "ES256", "tampered", "other key", "unknown kid", "no kid",
    ])
  func forged(_ attack: String) async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      var token = try parts(owner.token)
      let published = try #require(house.keys.published.first)
      let publicKey = try #require(Base64URL.decode(published.x.utf8))
      let own = Curve25519.Signing.PrivateKey()
      let forged: String
      switch attack {
      case "none", "None", "":
        token.header["alg"] = attack
        forged = try token.text { _ in [] }
      case "HS256":
        // The public key as the secret of an HMAC: what a verifier computes that believes the header.
        token.header["alg"] = "HS256"
        forged = try token.text { text in
          Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: publicKey)))
        }
      case "ES256":
        // A right signature under a header that names another algorithm.
        token.header["alg"] = "ES256"
        let signer = try house.keys.signer()
        forged = try token.text { Array(try signer.key.signature(for: Array($0.utf8))) }
      case "tampered":
        let signature = try #require(owner.token.split(separator: ".").last)
        token.claims["roles"] = ["platform_admin"]
        let bytes = try #require(Base64URL.decode(signature.utf8))
        forged = try token.text { _ in bytes }
      case "unknown kid":
        token.header["kid"] = "nobody"
        forged = try token.text { Array(try own.signature(for: Array($0.utf8))) }
      case "no kid":
        token.header["kid"] = nil
        let signer = try house.keys.signer()
        forged = try token.text { Array(try signer.key.signature(for: Array($0.utf8))) }
      default:
        // Under our kid.
        forged = try token.text { Array(try own.signature(for: Array($0.utf8))) }
      }
      try await expectReason("INVALID_TOKEN") { try await house.exchange(.accessToken(forged)) }
    }
  }

  @Test(
    "A token of ours for somebody else, or with more in it than ours have, is none",
    arguments: ["aud", "iss", "crit", "jwk", "typ", "sub", "tid", "iat"])
  func misused(_ field: String) async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      var token = try parts(owner.token)
      switch field {
      case "crit": token.header["crit"] = ["exp"]
      case "jwk": token.header["jwk"] = ["kty": "OKP"]
      case "typ": token.header["typ"] = "JWT"
      case "sub": token.claims["sub"] = "somebody"
      case "tid": token.claims["tid"] = "somewhere"
      case "iat": token.claims["iat"] = house.clock.now.seconds + 3600
      default: token.claims[field] = "another"
      }
      let signer = try house.keys.signer()
      let text = try token.text { Array(try signer.key.signature(for: Array($0.utf8))) }
      try await expectReason("INVALID_TOKEN") { try await house.exchange(.accessToken(text)) }
    }
  }

  @Test(
    "What is no token is none",
    arguments: ["", ".", "..", "...", "a.b.c", "é.é.é", "eyJhbGciOiJub25lIn0.e30."])
  func malformed(_ text: String) async throws {
    try await TestHouse.with { house in
      try await expectReason("INVALID_TOKEN") { try await house.exchange(.accessToken(text)) }
    }
  }

  @Test("A token has one spelling")
  func spelling() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      try await expectReason("INVALID_TOKEN") { try await house.exchange(.accessToken(owner.token + "==")) }
      let parts = owner.token.split(separator: ".")
      // The last digit of a signature has four bits that no byte needs.
      let last = try #require(parts[2].last)
      let other = try #require("AQgw".first { $0 != last })
      let spelt = "\(parts[0]).\(parts[1]).\(parts[2].dropLast())\(other)"
      try await expectReason("INVALID_TOKEN") { try await house.exchange(.accessToken(spelt)) }
    }
  }

  @Test("A token is good for ten minutes")
  func expired() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      house.clock.advance(by: .seconds(599))
      _ = try await house.exchange(.accessToken(owner.token))
      house.clock.advance(by: .seconds(2))
      try await expectReason("TOKEN_EXPIRED") { try await house.exchange(.accessToken(owner.token)) }
    }
  }

  @Test("A principal is no access token, and an access token no principal")
  func kinds() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let principal = try await house.exchange(.accessToken(owner.token)).principal
      try await expectReason("INVALID_TOKEN") { try await house.exchange(.accessToken(principal)) }
      try await expectReason("MALFORMED_PRINCIPAL") {
        try await house.identity.getCaller(
          .init(), options: CallOptions(metadata: [Principal.metadataKey: owner.token]))
      }
    }
  }
}
