import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Lockout")
struct LockoutTests {
  private func fail(_ email: String, from address: String = "203.0.113.9", in house: TestHouse) async throws
    -> RPCError?
  {
    do {
      _ = try await house.identity.login(
        LoginRequest(email: email, password: "guess"), options: try await house.edge(address: address))
      return nil
    } catch let error as RPCError {
      return error
    }
  }

  @Test(
    "After five failures an email waits, twice as long after each further one, known or not",
    arguments: ["owner@example.com", "nobody@example.com"])
  func grows(_ email: String) async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      for _ in 0..<5 { #expect(try await fail(email, in: house)?.reason == "INVALID_CREDENTIALS") }
      for wait in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
        let locked = try #require(try await fail(email, in: house))
        #expect(locked.reason == "ACCOUNT_LOCKED")
        #expect(locked.code == .resourceExhausted)
        let told = try #require(locked.retryAfter)
        #expect(told > .seconds(wait - 1) && told <= .seconds(wait))
        house.clock.advance(by: .seconds(wait - 1))
        #expect(try await fail(email, in: house)?.reason == "ACCOUNT_LOCKED")
        house.clock.advance(by: .seconds(1))
        #expect(try await fail(email, in: house)?.reason == "INVALID_CREDENTIALS")
      }
      let log = try await house.audit(of: email == owner.email ? owner.tenant : .noTenant)
      #expect(log.filter { $0 == "sign_in.locked" }.count == 10)
      #expect(log.filter { $0 == "sign_in.failed" }.count == 14)
    }
  }

  @Test("While an email waits the right password is not looked at either")
  func locked() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      for _ in 0..<5 { _ = try await fail(owner.email, in: house) }
      let before = house.passwords.computations
      try await expectReason("ACCOUNT_LOCKED") { try await house.login() }
      #expect(house.passwords.computations == before)
      house.clock.advance(by: .seconds(30))
      _ = try await house.login()
      // And all is forgotten.
      for _ in 0..<4 { #expect(try await fail(owner.email, in: house)?.reason == "INVALID_CREDENTIALS") }
      _ = try await house.login()
    }
  }

  @Test("A hundred guesses at once are five guesses")
  func concurrent() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let before = house.passwords.computations
      let reasons = await withTaskGroup(of: String?.self) { group in
        for _ in 0..<100 {
          group.addTask { (try? await fail(owner.email, in: house))?.reason }
        }
        return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
      }
      #expect(reasons == ["INVALID_CREDENTIALS": 5, "ACCOUNT_LOCKED": 95])
      #expect(house.passwords.computations - before == 5)
    }
  }

  @Test(
    "After fifty failures an address waits, whatever emails it tried; the network of an IPv6 address is one")
  func address() async throws {
    try await TestHouse.with(threads: 4) { house in
      let owner = try await house.register()
      for index in 0..<50 {
        let address = "2001:db8:1:2::\(index + 1)"
        #expect(
          try await fail("guess\(index)@example.com", from: address, in: house)?.reason
            == "INVALID_CREDENTIALS")
      }
      #expect(
        try await fail("new@example.com", from: "2001:db8:1:2:ffff::1", in: house)?.reason
          == "TOO_MANY_ATTEMPTS")
      #expect(
        try await fail("new@example.com", from: "2001:db8:1:3::1", in: house)?.reason == "INVALID_CREDENTIALS"
      )
      #expect(try await fail(owner.email, from: "2001:db8:1:2::1", in: house)?.reason == "TOO_MANY_ATTEMPTS")
      _ = try await house.login()
    }
  }

  @Test("An address is believed of programs of the platform alone")
  func believed() async throws {
    try await TestHouse.with { house in
      let owner = try await house.register()
      let forged = CallOptions(metadata: [Caller.addressKey: "198.51.100.1"])
      try await expectReason("INVALID_CREDENTIALS") {
        try await house.identity.login(LoginRequest(email: owner.email, password: "guess"), options: forged)
      }
      let events = try await house.identity.listAuditEvents(
        ListAuditEventsRequest(action: "sign_in.failed"), options: try await house.acting(as: owner))
      #expect(events.message.events.map(\.address) == [""])
    }
  }

  @Test("When as many are hashed and wait as may, the next is refused, and not counted as a failure")
  func overloaded() async throws {
    try await TestHouse.with(threads: 1, mostWaiting: 0, cost: .init()) { house in
      let owner = try await house.register()
      let reasons = await withTaskGroup(of: String?.self) { group in
        for index in 0..<20 {
          group.addTask { (try? await fail("\(index)@example.com", in: house))?.reason }
        }
        return await group.reduce(into: Set()) { $0.insert($1) }
      }
      #expect(reasons == ["INVALID_CREDENTIALS", "OVERLOADED"])
      _ = try await house.login(owner.email)
    }
  }

  @Test("What is decided of failures and the time")
  func rules() {
    let rules = LockoutRules(
      free: 2, firstWait: .seconds(10), longestWait: .seconds(40), memory: .seconds(1000))
    var now = Instant(microseconds: 0)
    var state = LockoutRules.State(lastFailedAt: now)
    for (failures, wait) in [(1, 0), (2, 10), (3, 20), (4, 40), (5, 40)] {
      guard case .allowed(let next) = rules.attempt(state, now: now) else {
        Issue.record("locked at \(failures)")
        return
      }
      #expect(next.failures == failures)
      #expect(next.lockedUntil == (wait == 0 ? nil : now + .seconds(wait)))
      if let end = next.lockedUntil {
        #expect(rules.attempt(next, now: end - .microseconds(1)) == .locked(until: end))
        now = end
      }
      state = next
    }
    #expect(rules.takeBack(state).failures == 4)
    #expect(
      rules.takeBack(.init(failures: 2, lastFailedAt: now, lockedUntil: now))
        == .init(failures: 1, lastFailedAt: now))
    #expect(rules.takeBack(.init(lastFailedAt: now)).failures == 0)
    let later = now + .seconds(1000)
    #expect(rules.attempt(state, now: later) == .allowed(.init(failures: 1, lastFailedAt: later)))
    #expect(
      rules.attempt(.init(failures: 1_000_000, lastFailedAt: now), now: now)
        == .allowed(
          .init(failures: 1_000_001, lastFailedAt: now, lockedUntil: now + .seconds(40))))
  }

  @Test(
    "An address stands for its network",
    arguments: [
      ("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"),
      ("2001:db8:1:2:3:4:5:6", "20010db800010002/64"), ("2001:db8:1:2::", "20010db800010002/64"), ("", nil),
      ("unknown", nil), ("203.0.113.9:80", nil),
    ] as [(String, String?)])
  func network(_ address: String, _ text: String?) {
    #expect(ClientNetwork(address)?.text == text)
  }
}
