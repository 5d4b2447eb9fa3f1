import NIOCore
import Testing

@testable import Postgres

private final class FakeConnection {}

@Suite("LeasePool: who is next")
struct LeasePoolTests {
  private typealias Pool = LeasePool<String, FakeConnection>
  private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

  private func describe(_ action: Pool.Action) -> String {
    switch action {
    case .none: "none"
    case .grant(let waiter, _): "grant \(waiter)"
    case .refuse(let waiter): "refuse \(waiter)"
    case .open: "open"
    }
  }

  private func expect(_ action: Pool.Action, _ text: String) {
    #expect(describe(action) == text)
  }

  private func acquire(_ pool: inout Pool, _ waiter: String) -> String {
    describe(pool.acquire(waiter, since: start, expiry: start + .seconds(5)))
  }

  @Test("Connections are opened for those who wait, up to the capacity")
  func opensUpToCapacity() {
    var pool = Pool(capacity: 2, queueLimit: 10)
    let actions = ["a", "b", "c"].map { acquire(&pool, $0) }
    #expect(actions == ["open", "open", "none"])
    expect(pool.opened(FakeConnection()), "grant a")
    #expect(pool.waiting == 2)
  }

  @Test("First come, first served")
  func fair() {
    var pool = Pool(capacity: 1, queueLimit: 10)
    _ = ["a", "b", "c"].map { acquire(&pool, $0) }
    let connection = FakeConnection()
    expect(pool.opened(connection), "grant a")
    expect(pool.release(connection), "grant b")
    expect(pool.release(connection), "grant c")
    expect(pool.release(connection), "none")
    let d = acquire(&pool, "d")
    #expect(d == "grant d")
  }

  @Test("A full queue refuses at once")
  func full() {
    var pool = Pool(capacity: 1, queueLimit: 2)
    let actions = ["a", "b", "c"].map { acquire(&pool, $0) }
    #expect(actions == ["open", "none", "refuse c"])
  }

  @Test("A discarded connection is replaced when somebody waits, and only then")
  func discarded() {
    var pool = Pool(capacity: 1, queueLimit: 10)
    _ = acquire(&pool, "a")
    _ = pool.opened(FakeConnection())
    expect(pool.discarded(), "none")
    _ = acquire(&pool, "b")
    _ = pool.opened(FakeConnection())
    let c = acquire(&pool, "c")
    #expect(c == "none")
    expect(pool.discarded(), "open")
  }

  @Test("Opening is tried again while somebody waits for it")
  func openFailed() {
    var pool = Pool(capacity: 2, queueLimit: 10)
    _ = acquire(&pool, "a")
    let again = pool.openFailed()
    #expect(again)
    _ = pool.expire(now: start + .seconds(9), unavailableBefore: start)
    let onceMore = pool.openFailed()
    #expect(!onceMore)
  }

  @Test("Without any connection one waits less long than for a turn")
  func expiry() {
    var pool = Pool(capacity: 1, queueLimit: 10)
    _ = ["a", "b"].map { acquire(&pool, $0) }
    let expired = pool.expire(now: start + .seconds(1), unavailableBefore: start)
    #expect(expired.map(\.isUnavailable) == [true, true])

    _ = acquire(&pool, "c")
    _ = pool.opened(FakeConnection())
    _ = acquire(&pool, "d")
    let soon = pool.expire(now: start + .seconds(1), unavailableBefore: start)
    #expect(soon.isEmpty)
    let late = pool.expire(now: start + .seconds(5), unavailableBefore: start)
    #expect(late.map(\.waiter) == ["d"])
    #expect(late.map(\.isUnavailable) == [false])
  }
}

@Suite("Backoff")
struct BackoffTests {
  @Test("The first attempt is at once, and none is further off than a second")
  func bounds() {
    var backoff = Backoff()
    var random = SystemRandomNumberGenerator()
    let pauses = (0..<20).map { _ in backoff.next(using: &random) }
    #expect(pauses[0] == .zero)
    for (pause, most) in zip(
      pauses.dropFirst(), [50, 100, 200, 400, 800] + Array(repeating: 1000, count: 14))
    {
      #expect(pause >= .milliseconds(Int64(most) / 2) && pause <= .milliseconds(Int64(most)))
    }
    backoff.reset()
    let first = backoff.next(using: &random)
    #expect(first == .zero)
  }
}
