import Crypto
import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Signing keys")
struct SigningKeyTests {
  @Test("The key set is that of RFC 7517, and the same for clients and programs")
  func keySet() async throws {
    try await TestHouse.with { house in
      let keys = try await house.identity.getKeySet(.init()).message.keys
      #expect(keys == (try await house.access.listVerificationKeys(.init()).message.keys))
      let key = try #require(keys.first)
      #expect(keys.count == 1)
      #expect([key.kty, key.crv, key.use, key.alg] == ["OKP", "Ed25519", "sig", "EdDSA"])
      #expect(Base64URL.decode(key.x.utf8)?.count == 32)
      #expect(try await house.audit(of: .noTenant) == ["signing_key.created"])
    }
  }

  @Test("Instances that start at once make one key, and know each other's")
  func agreed() async throws {
    try await TestHouse.with { house in
      try await house.superuser.run(sql: "TRUNCATE identity.signing_keys")
      let instances = try (0..<8).map { _ in try TestHouse.signingKeys(on: house.postgres, clock: house.clock)
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for instance in instances { group.addTask { try await instance.load() } }
        try await group.waitForAll()
      }
      #expect(Set(try instances.map { try $0.signer().id }).count == 1)
      // And the next one, when it is time: shown a day before it signs.
      let first = try instances[0].signer().id
      house.clock.advance(by: .days(29) + .seconds(1))
      try await withThrowingTaskGroup(of: Void.self) { group in
        for instance in instances { group.addTask { try await instance.load() } }
        try await group.waitForAll()
      }
      for instance in instances {
        try await instance.load()
        #expect(instance.published.count == 2)
        #expect(try instance.signer().id == first)
      }
      house.clock.advance(by: .days(1) + .seconds(1))
      let second = try instances[0].signer().id
      #expect(second != first)
      #expect(try instances.map { try $0.signer().id } == Array(repeating: second, count: 8))
      // What the first signed is verified for as long as it lives.
      for instance in instances { try await instance.load() }
      #expect(instances[3].publicKey(first) != nil)
      house.clock.advance(by: .days(1))
      for instance in instances { try await instance.load() }
      #expect(instances[3].publicKey(first) == nil)
      #expect(instances[3].published.map(\.kid) == [second])
    }
  }

  @Test("Keys that may be known to others are taken back: what they signed counts for nothing")
  func compromised() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let edge = try await house.edge()
      let former = try house.keys.signer().id
      let elsewhere = try TestHouse.signingKeys(on: house.postgres, clock: house.clock)
      let key = try await elsewhere.rotate(
        lead: .minutes(5), withdrawing: true, by: Caller(command: "rotate-keys"))
      try await house.keys.load()
      #expect(try house.keys.signer().id == key.id)
      #expect(house.keys.published.map(\.kid) == [key.id])
      try await expectReason("UNKNOWN_KEY") {
        try await house.access.exchangeCredential(
          ExchangeCredentialRequest(credential: .accessToken(owner.token)), options: edge)
      }
      try await expectReason("INVALID_TOKEN") { try await house.exchange(.accessToken(owner.token)) }
      // People stay signed in.
      let next = try await house.identity.refreshSession(
        RefreshSessionRequest(refreshToken: owner.refreshToken), options: try await house.edge()
      ).message
      _ = try await house.exchange(.accessToken(next.token))
      #expect(
        try await house.audit(of: .noTenant).prefix(2) == ["signing_key.withdrawn", "signing_key.created"])
      #expect(former != key.id)
    }
  }

  @Test("A key made before its time signs when everybody has heard of it")
  func early() async throws {
    try await TestHouse.with { house in
      let former = try house.keys.signer().id
      let key = try await house.keys.rotate(
        lead: .minutes(5), withdrawing: false, by: Caller(command: "rotate-keys"))
      try await house.keys.load()
      #expect(house.keys.published.map(\.kid) == [key.id, former])
      #expect(try house.keys.signer().id == former)
      house.clock.advance(by: .minutes(5))
      #expect(try house.keys.signer().id == key.id)
    }
  }

  @Test("The database does not hold what signs, only closed: another key of the settings does not open it")
  func closed() async throws {
    try await TestHouse.with { house in
      let rows = try await house.superuser.execute(ListSigningKeys(), tenant: nil)
      let row = try #require(rows.first)
      let secret = Array(try house.keys.signer().key.rawRepresentation)
      #expect(!row.sealedPrivateKey.contains(secret))
      let other = "//////////////////////////////////////////8="
      let wrong = try TestHouse.signingKeys(on: house.postgres, clock: house.clock, seal: other)
      await #expect(throws: SigningKeyError.cannotOpen(row.id)) { try await wrong.load() }
      // While it is changed both are there.
      let both = try TestHouse.signingKeys(
        on: house.postgres, clock: house.clock, seal: "\(other),\(TestHouse.seal)")
      try await both.load()
      #expect(try both.signer().id == row.id)
      // A closed key put in another's place is not opened.
      #expect(try KeySeal(TestHouse.seal).open(row.sealedPrivateKey, of: "another") == nil)
      for text in ["", "x", "AAAA", "\(TestHouse.seal),x"] {
        #expect(throws: StartupFailure.self) { try KeySeal(text) }
      }
    }
  }

  @Test("The id of a key is the beginning of its thumbprint")
  func thumbprint() throws {
    // RFC 8037, appendix A.3: the thumbprint of this key is kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k.
    let x = try #require(Base64URL.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".utf8))
    #expect(SigningKey.id(of: x) == "kPrK_qmxVWaYVA9w")
  }

  @Test("When keys sign, are shown and are followed")
  func rules() {
    let rules = SigningKeyRules()
    let start = Instant(microseconds: 0)
    let first = SigningKeyRules.Key(id: "1", activeFrom: start)
    let second = SigningKeyRules.Key(id: "2", activeFrom: start + .days(30))
    #expect(rules.nextBeginning(after: [], now: start) == start)
    #expect(rules.nextBeginning(after: [first], now: start + .days(29) - .seconds(1)) == nil)
    #expect(rules.nextBeginning(after: [first], now: start + .days(29)) == start + .days(30))
    // Nobody was there for a while: it is shown for a day all the same.
    #expect(rules.nextBeginning(after: [first], now: start + .days(40)) == start + .days(41))
    #expect(rules.nextBeginning(after: [first, second], now: start + .days(40)) == nil)
    #expect(rules.signer(of: [first, second], now: start + .days(30) - .seconds(1)) == first)
    #expect(rules.signer(of: [first, second], now: start + .days(30)) == second)
    #expect(rules.signer(of: [first], now: start + .days(300)) == first)
    #expect(rules.signer(of: [first], now: start - .seconds(1)) == nil)
    #expect(rules.published([first, second], now: start + .days(29)) == [second, first])
    #expect(rules.published([first, second], now: start + .days(31) - .seconds(1)) == [second, first])
    #expect(rules.published([first, second], now: start + .days(31)) == [second])
    var withdrawn = second
    withdrawn.isWithdrawn = true
    #expect(rules.signer(of: [first, withdrawn], now: start + .days(40)) == first)
    #expect(rules.published([first, withdrawn], now: start + .days(40)) == [first])
    #expect(rules.nextBeginning(after: [withdrawn], now: start + .days(31)) == start + .days(31))
  }
}
