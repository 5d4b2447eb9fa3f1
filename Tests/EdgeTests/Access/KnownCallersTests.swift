import MainstreetAPI
import NIOCore
import RPC
import ServiceKit
import Testing

@testable import Edge

@Suite("What is known of callers") struct KnownCallersTests {
  @Test("counts while revocations are heard of, and no longer than three seconds after")
  func silence() throws {
    let test = Memory()
    test.hear()
    try test.learn(1)
    test.now = test.now + .seconds(3)
    #expect(test.finding(1) == "known")
    test.now = test.now + .nanoseconds(1)
    #expect(test.finding(1) == "unknown")
    test.hear()
    #expect(test.finding(1) == "known")
  }

  @Test("is not learned before revocations are heard of")
  func deaf() throws {
    let test = Memory()
    try test.learn(1)
    test.hear()
    #expect(test.finding(1) == "unknown")
  }

  @Test("is forgotten at once when it is revoked by any of its ids", arguments: ["key:1", "tenant:1"])
  func revoked(id: String) throws {
    let test = Memory()
    test.hear()
    try test.learn(1)
    try test.learn(2, ids: ["key:2", "tenant:2"])
    test.hear([id])
    #expect(test.finding(1) == "unknown" && test.finding(2) == "known")
    #expect(test.known.count == 1)
  }

  @Test("is forgotten whole when revocations may have been missed")
  func reset() throws {
    let test = Memory()
    test.hear()
    try test.learn(1)
    test.hear(reset: true)
    #expect(test.finding(1) == "unknown" && test.known.count == 0)
  }

  @Test("does not take an answer that a revocation has overtaken")
  func overtaken() throws {
    for overtaking: (Memory) -> Void in [{ $0.hear(["key:1"]) }, { $0.hear(reset: true) }] {
      let test = Memory()
      test.hear()
      let ticket = test.known.ticket(now: test.now)
      test.now = test.now + .milliseconds(1)
      overtaking(test)
      test.known.learn(try caller(), of: digest(1), lasting: 300, ticket, now: test.now)
      #expect(test.finding(1) == "unknown")
      // What was asked afterwards counts.
      test.now = test.now + .milliseconds(1)
      try test.learn(1)
      #expect(test.finding(1) == "known")
    }
  }

  @Test("does not take an answer that was asked for while nothing was heard, though something is now")
  func deafTicket() throws {
    let test = Memory()
    let ticket = test.known.ticket(now: test.now)
    test.hear()
    test.known.learn(try caller(), of: digest(1), lasting: 300, ticket, now: test.now)
    #expect(test.finding(1) == "unknown")
  }

  @Test("is asked for again after two thirds of its time, and gone at its end")
  func expiry() throws {
    let test = Memory()
    test.hear()
    try test.learn(1, lasting: 300)
    test.now = test.now + .seconds(199)
    test.hear()
    #expect(test.finding(1) == "known")
    test.now = test.now + .seconds(1)
    #expect(test.finding(1) == "old")
    test.now = test.now + .seconds(100)
    test.hear()
    #expect(test.finding(1) == "unknown" && test.known.count == 0)
  }

  @Test("holds no more callers than its limit, whatever is learned again meanwhile")
  func bound() throws {
    var limits = KnownCallers.Limits()
    limits.callers = 10
    let test = Memory()
    test.known = KnownCallers(limits: limits)
    test.hear()
    for round in 0..<20 {
      for number in 0..<5 { try test.learn(number, ids: ["key:\(number)"]) }
      #expect(test.known.count == 5, "round \(round)")
    }
    for number in 0..<30 { try test.learn(number, ids: ["key:\(number)"]) }
    #expect(test.known.count == 10)
    #expect((0..<30).filter { test.finding($0) == "known" } == Array(20..<30))
  }

  @Test("tells for ten seconds that a credential was refused, of so many")
  func refused() {
    var limits = KnownCallers.Limits()
    limits.refused = 10
    let test = Memory()
    test.known = KnownCallers(limits: limits)
    let error = RPCError(.unauthenticated, "no")
    test.known.learn(error, of: digest(1), now: test.now)
    #expect(test.finding(1) == "refused")
    test.now = test.now + .seconds(10)
    #expect(test.finding(1) == "unknown")
    for number in 0..<100 { test.known.learn(error, of: digest(number), now: test.now) }
    #expect(test.known.refusedCount == 10)
  }

  @Test("remembers many revocations for exchanges under way, and lets none count beyond that")
  func manyRevocations() throws {
    var limits = KnownCallers.Limits()
    limits.revocations = 10
    let test = Memory()
    test.known = KnownCallers(limits: limits)
    test.hear()
    let ticket = test.known.ticket(now: test.now)
    for number in 0..<20 { test.hear(["other:\(number)"]) }
    test.known.learn(try caller(), of: digest(1), lasting: 300, ticket, now: test.now)
    #expect(test.finding(1) == "unknown")
  }
}

/// A memory and its clock.
private final class Memory {
  var known = KnownCallers()
  var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

  func hear(_ ids: [String] = [], reset: Bool = false) {
    known.hear(revoked: ids, isReset: reset, now: now)
  }

  func learn(
    _ number: Int, lasting seconds: Int64 = 300, ids: [String] = ["key:1", "tenant:1"]
  ) throws {
    known.learn(try caller(ids: ids), of: digest(number), lasting: seconds, known.ticket(now: now), now: now)
  }

  func finding(_ number: Int) -> String {
    switch known.find(digest(number), now: now) {
    case .caller(_, let isOld): isOld ? "old" : "known"
    case .refused: "refused"
    case .unknown: "unknown"
    }
  }
}

private func digest(_ number: Int) -> CredentialDigest { Credential.apiKey("\(number)").digest }

private func caller(ids: [String] = ["key:1", "tenant:1"]) throws -> Caller {
  try #require(
    Caller(
      ExchangeCredentialResponse(
        principal: "v1.a.b.c",
        claims: PrincipalClaims(
          tenantId: EdgeUnderTest.tenant, subject: "key:1", expiresAt: Timestamp(seconds: 1 << 40)),
        revocationIds: ids)))
}
