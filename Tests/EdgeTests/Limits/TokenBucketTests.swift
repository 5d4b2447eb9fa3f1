import NIOCore
import Testing

@testable import Edge

@Suite("A bucket of calls") struct TokenBucketTests {
  private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

  @Test(
    "gives what it holds at once, and then one after the other", arguments: [1, 3, 7, 10, 100, 9973])
  func rate(perMinute: Int) {
    let bucket = Held(TokenBucket(perMinute: perMinute))
    var given = 0
    while bucket.take(now: start) { given += 1 }
    #expect(given == perMinute && bucket.value.remaining(now: start) == 0)
    let wait = bucket.value.wait(now: start)
    #expect(!bucket.take(now: start + wait - .nanoseconds(1)))
    #expect(bucket.take(now: start + wait))
    #expect(!bucket.take(now: start + wait))
    #expect(wait.nanoseconds >= 60_000_000_000 / Int64(perMinute))
  }

  @Test("gives no more in a minute than it may, however it is asked")
  func exact() {
    let bucket = Held(TokenBucket(perMinute: 100))
    var now = start
    var given = 0
    // Every 7 ms for ten minutes: what was there, and what came back.
    for _ in 0..<(600_000 / 7) {
      if bucket.take(now: now) { given += 1 }
      now = now + .milliseconds(7)
    }
    #expect((1098...1100).contains(given), "\(given)")
  }

  @Test("is whole after a minute of rest, and no more than that")
  func rest() {
    let bucket = Held(TokenBucket(perMinute: 100))
    while bucket.take(now: start) {}
    #expect(bucket.value.remaining(now: start + .seconds(30)) == 50)
    #expect(!bucket.value.isFull(now: start + .seconds(59)))
    #expect(bucket.value.isFull(now: start + .seconds(60)))
    #expect(bucket.value.remaining(now: start + .hours(1)) == 100)
  }

  @Test("takes back a call that was not made")
  func putBack() {
    let bucket = Held(TokenBucket(perMinute: 2))
    #expect(bucket.take(now: start) && bucket.take(now: start) && !bucket.take(now: start))
    bucket.putBack()
    #expect(bucket.value.remaining(now: start) == 1)
    #expect(bucket.take(now: start) && !bucket.take(now: start))
  }
}

@Suite("A budget that several Edges share") struct SharedBudgetTests {
  private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

  @Test("is asked for by whoever finds nothing, for all that wait")
  func waits() {
    let budget = Held(SharedBudget(perMinute: 100))
    #expect(budget.take(now: start) == .wait)
    #expect(budget.value.wants(waiting: 1, now: start))
    #expect(budget.ask(waiting: 3) == 3)
    #expect(!budget.value.wants(waiting: 1, now: start))
    budget.granted(3, until: start + .seconds(5), left: 97, availableAt: nil, now: start)
    #expect(budget.value.remaining(now: start) == 100)
    for _ in 0..<3 { #expect(budget.take(now: start) == .go) }
    #expect(budget.take(now: start) == .wait)
  }

  @Test("is asked for ahead of need by who uses it, but only for a fiftieth")
  func ahead() {
    let budget = Held(SharedBudget(perMinute: 100))
    _ = budget.ask(waiting: 10)
    budget.granted(10, until: start + .seconds(5), left: 90, availableAt: nil, now: start)
    for _ in 0..<8 { #expect(budget.take(now: start) == .go) }
    #expect(!budget.value.wants(waiting: 0, now: start))
    #expect(budget.take(now: start) == .go)
    #expect(budget.value.wants(waiting: 0, now: start))
    #expect(budget.ask(waiting: 0) == 2)
  }

  @Test("is lost when it is not used in time")
  func expires() {
    let budget = Held(SharedBudget(perMinute: 100))
    _ = budget.ask(waiting: 2)
    budget.granted(2, until: start + .seconds(5), left: 98, availableAt: nil, now: start)
    #expect(budget.take(now: start + .seconds(4)) == .go)
    #expect(budget.take(now: start + .seconds(5)) == .wait)
  }

  @Test("is spent when identity gives nothing, and nobody asks before there is one again")
  func spent() {
    let budget = Held(SharedBudget(perMinute: 100))
    _ = budget.ask(waiting: 2)
    let again = start + .milliseconds(600)
    budget.granted(0, until: start, left: 0, availableAt: again, now: start)
    #expect(budget.take(now: start) == .spent(until: again))
    #expect(!budget.value.wants(waiting: 0, now: start) && budget.value.remaining(now: start) == 0)
    #expect(budget.take(now: again) == .wait)
  }
}

/// A value that an expectation may change.
private final class Held<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

extension Held<TokenBucket> {
  fileprivate func take(now: NIODeadline) -> Bool { value.take(now: now) }
  fileprivate func putBack() { value.putBack() }
}

extension Held<SharedBudget> {
  fileprivate func take(now: NIODeadline) -> SharedBudget.Ruling { value.take(now: now) }
  @discardableResult
  fileprivate func ask(waiting: Int) -> Int { value.ask(waiting: waiting) }
  fileprivate func granted(
    _ granted: Int, until: NIODeadline, left: Int, availableAt: NIODeadline?, now: NIODeadline
  ) {
    value.granted(granted, until: until, left: left, availableAt: availableAt, now: now)
  }
}
