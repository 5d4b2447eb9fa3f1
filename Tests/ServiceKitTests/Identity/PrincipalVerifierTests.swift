import Crypto
import MainstreetAPI
import NIOCore
import Postgres
import RPC
import Synchronization
import Testing

@testable import ServiceKit

@Suite("A principal is believed") struct PrincipalVerifierTests {
  private let signer = PrincipalSigner(keyID: "key-1")
  private let clock = Clock()
  private let verifier: PrincipalVerifier

  init() throws {
    verifier = PrincipalVerifier(now: clock.now)
    try verifier.use([signer.verificationKey])
  }

  private func reason(_ text: String) -> String? {
    do throws(RPCError) {
      _ = try verifier.verify(text)
      return nil
    } catch { return error.reason }
  }

  @Test("when identity has signed it, as what it says")
  func signed() throws {
    let claims = PrincipalClaims(
      tenantId: tenant, subject: "key:1", roles: ["viewer"], scopes: ["stores.read", "*"],
      expiresAt: Timestamp(seconds: clock.now() + 60))
    for _ in 0..<2 {
      let principal = try verifier.verify(signer.sign(claims))
      #expect(principal.tenant == tenant && principal.tenantID?.description == tenant)
      #expect(principal.subject == "key:1" && principal.isKey)
      #expect(principal.roles == ["viewer"] && principal.scopes == ["stores.read", "*"])
    }
    #expect(verifier.rememberedCount == 1)
  }

  @Test("by the same object each time, so that it is verified once")
  func remembered() throws {
    let text = try signer.sign(claims())
    #expect(try verifier.verify(text) === verifier.verify(text))
  }

  @Test("only until it ends and five seconds more, as clocks differ, also when it was remembered")
  func expired() throws {
    let text = try signer.sign(claims(lasting: 60))
    #expect(reason(text) == nil)
    clock.advance(64)
    #expect(reason(text) == nil)
    clock.advance(1)
    #expect(reason(text) == "PRINCIPAL_EXPIRED")
    #expect(verifier.rememberedCount == 0)
    #expect(reason(text) == "PRINCIPAL_EXPIRED")
  }

  @Test("not when another key signed it in the name of this one")
  func otherKey() throws {
    #expect(reason(try PrincipalSigner(keyID: "key-1").sign(claims())) == "PRINCIPAL_NOT_SIGNED")
    #expect(verifier.rememberedCount == 0)
  }

  @Test("not when any digit of it is another one")
  func tampered() throws {
    let text = Array(try signer.sign(claims()).utf8)
    for index in text.indices {
      var other = text
      other[index] = other[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(reason(String(decoding: other, as: UTF8.self)) != nil, "digit \(index)")
    }
    #expect(verifier.rememberedCount == 0)
  }

  @Test("not when its signature belongs to other claims")
  func swapped() throws {
    let mine = try signer.sign(claims()).split(separator: ".")
    let theirs = try signer.sign(claims(subject: "account:2")).split(separator: ".")
    #expect(reason((theirs[..<3] + mine[3...]).joined(separator: ".")) == "PRINCIPAL_NOT_SIGNED")
  }

  @Test("not when it has another form, however small the difference")
  func form() throws {
    let text = try signer.sign(claims())
    let parts = text.split(separator: ".").map(String.init)
    for other in [
      "", ".", "...", "v1", "v0;tenant=\(tenant);subject=a;roles=owner", "v2" + text.dropFirst(2),
      text + "=", text + ".", "." + text, " " + text, text + " ", text.uppercased(),
      "v1..\(parts[2]).\(parts[3])", "v1.key 1.\(parts[2]).\(parts[3])",
      "v1.\(String(repeating: "k", count: 65)).\(parts[2]).\(parts[3])",
      "v1.key-1..\(parts[3])", "v1.key-1.\(parts[2]).", "v1.key-1.\(parts[2]).\(parts[3].dropLast())",
      "v1.key-1.\(parts[2])=.\(parts[3])", "v1.key-1.\(parts[2]).\(parts[3])==",
    ] {
      #expect(reason(other) == "MALFORMED_PRINCIPAL", "\(other)")
    }
  }

  @Test("not when the last digit has bits that belong to no byte")
  func canonical() throws {
    let text = try signer.sign(claims())
    // 64 bytes leave four bits in the last digit: sixteen spellings, one of which is ours.
    let last = try #require(text.last)
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    let value = try #require(digits.firstIndex(of: last))
    for other in 1..<16 {
      let spelling = text.dropLast() + String(digits[value | other])
      #expect(reason(String(spelling)) == "MALFORMED_PRINCIPAL")
    }
    #expect(reason(text) == nil)
  }

  @Test("not when it is longer than any of ours")
  func oversized() throws {
    let long = try signer.sign(claims(subject: String(repeating: "x", count: 4000)))
    #expect(reason(long) == "MALFORMED_PRINCIPAL")
  }

  @Test("not when it was signed but says nothing of use")
  func empty() throws {
    let end = Timestamp(seconds: clock.now() + 60)
    for claims in [
      PrincipalClaims(tenantId: tenant, subject: "a"), PrincipalClaims(tenantId: tenant, expiresAt: end),
      PrincipalClaims(tenantId: "not-a-uuid", subject: "a", expiresAt: end),
      PrincipalClaims(tenantId: tenant.uppercased(), subject: "a", expiresAt: end),
    ] {
      #expect(reason(try signer.sign(claims)) == "MALFORMED_PRINCIPAL")
    }
  }

  @Test("not with a key that is unknown, for which identity is asked once in ten seconds")
  func unknownKey() async throws {
    let next = PrincipalSigner(keyID: "key-2")
    var requests = verifier.keyRequests.makeAsyncIterator()
    for _ in 0..<3 { #expect(reason(try next.sign(claims())) == "UNKNOWN_KEY") }
    await requests.next()
    clock.advance(9)
    #expect(reason(try next.sign(claims())) == "UNKNOWN_KEY")
    clock.advance(1)
    #expect(reason(try next.sign(claims())) == "UNKNOWN_KEY")
    // The second request: had the one in between asked too, this would be the third.
    await requests.next()
    try verifier.use([signer.verificationKey, next.verificationKey])
    #expect(reason(try next.sign(claims())) == nil)
  }

  @Test("no more once its key was withdrawn, but still when another one came")
  func withdrawn() throws {
    let text = try signer.sign(claims())
    let next = PrincipalSigner(keyID: "key-2")
    #expect(reason(text) == nil)
    try verifier.use([next.verificationKey, signer.verificationKey])
    #expect(reason(text) == nil && verifier.rememberedCount == 1)
    try verifier.use([next.verificationKey])
    #expect(reason(text) == "UNKNOWN_KEY")
    try verifier.use([PrincipalSigner(keyID: "key-1").verificationKey])
    #expect(reason(text) == "PRINCIPAL_NOT_SIGNED")
  }

  @Test("of nobody before there are keys, which is no fault of the caller's")
  func noKeys() throws {
    let verifier = PrincipalVerifier(now: clock.now)
    let error = #expect(throws: RPCError.self) { try verifier.verify(signer.sign(claims())) }
    #expect(error?.code == .unavailable && error?.reason == "IDENTITY_UNAVAILABLE")
  }

  @Test("by no key of another kind, and one such key does not unseat the others")
  func otherKinds() throws {
    let good = signer.verificationKey
    for change: (inout JsonWebKey) -> Void in [
      { $0.kty = "EC" }, { $0.crv = "X25519" }, { $0.x = "" }, { $0.x += "=" },
      { $0.x = String($0.x.dropLast()) },
      { $0.kid = "" }, { $0.kid = "a.b" },
    ] {
      var key = good
      change(&key)
      #expect(throws: UnusableKey.self) { try verifier.use([key]) }
    }
    #expect(reason(try signer.sign(claims())) == nil)
  }

  @Test("and remembered, but never more than the limit")
  func bound() throws {
    var limits = PrincipalVerifier.Limits()
    limits.remembered = 10
    let verifier = PrincipalVerifier(limits: limits, now: clock.now)
    try verifier.use([signer.verificationKey])
    let first = try signer.sign(claims(subject: "account:0"))
    let principal = try verifier.verify(first)
    for number in 1...9 { _ = try verifier.verify(signer.sign(claims(subject: "account:\(number)"))) }
    #expect(try verifier.verify(first) === principal)
    _ = try verifier.verify(signer.sign(claims(subject: "account:10")))
    #expect(verifier.rememberedCount == 10)
    #expect(try verifier.verify(first) !== principal)
  }

  @Test("and forgotten when it has ended, though nobody asks for it")
  func forgotten() throws {
    for number in 0..<5 {
      _ = try verifier.verify(signer.sign(claims(subject: "account:\(number)", lasting: 60)))
    }
    clock.advance(66)
    _ = try verifier.verify(signer.sign(claims(lasting: 60)))
    #expect(verifier.rememberedCount == 1)
  }

  private func claims(subject: String = "account:1", lasting seconds: Int64 = 300) -> PrincipalClaims {
    PrincipalClaims(
      tenantId: tenant, subject: subject, roles: ["owner"], issuedAt: Timestamp(seconds: clock.now()),
      expiresAt: Timestamp(seconds: clock.now() + seconds))
  }
}

let tenant = "0190a0a0-0000-7000-8000-000000000001"

/// Seconds that pass when the test says so.
final class Clock: Sendable {
  private let seconds = Atomic<Int64>(1_750_000_000)
  var now: @Sendable () -> Int64 { { self.seconds.load(ordering: .sequentiallyConsistent) } }
  func advance(_ by: Int64) { seconds.add(by, ordering: .sequentiallyConsistent) }
}
