import NIOCore
import RPC
import Synchronization
import Testing

@testable import Edge

@Suite("Reads that may be a little old, as a state")
struct ReadCacheStateTests {
  private static let policy = ReadPolicy(fresh: .seconds(10), stale: .seconds(60))
  private static let began = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
  private var state = ReadCacheState(maxBytes: 10_000, maxAnswerBytes: 5_000)

  private static func key(_ request: String = "q", _ audience: String = "") -> ReadKey {
    ReadKey(path: "/a/B", audience: audience, request: ByteBuffer(string: request))
  }

  private static func answer(_ text: String) -> ReadAnswer {
    ReadAnswer(message: ByteBuffer(string: text), initialMetadata: [:])
  }

  /// The decision in a word, and who is to wait.
  private mutating func ask(
    _ key: ReadKey = key(), after seconds: Int64 = 0, waiter: UInt64 = 1
  ) -> String {
    switch state.ask(key, Self.policy, waiter, Self.began + .seconds(seconds)) {
    case .fresh(let answer): "fresh \(String(buffer: answer.message))"
    case .stale(let answer, let fetches): "stale \(String(buffer: answer.message)) \(fetches)"
    case .fetch: "fetch"
    case .wait: "wait"
    }
  }

  @discardableResult
  private mutating func ended(
    _ ending: ReadCacheState.Ending, _ key: ReadKey = key(), after seconds: Int64 = 0
  ) -> (woken: [UInt64], successor: UInt64?) {
    state.ended(key, ending, Self.began + .seconds(seconds))
  }

  @Test("One fetches, and those who ask meanwhile wait for the same answer")
  mutating func singleFlight() {
    #expect(ask() == "fetch")
    #expect(ask(waiter: 1) == "wait")
    #expect(ask(waiter: 2) == "wait")
    #expect(ended(.answered(Self.answer("a"))).woken == [1, 2])
    #expect(ask() == "fresh a")
  }

  @Test("Past its time an answer is given while one fetches, and past that time not")
  mutating func ages() {
    _ = ask()
    ended(.answered(Self.answer("a")))
    #expect(ask(after: 9) == "fresh a")
    #expect(ask(after: 10) == "stale a true")
    #expect(ask(after: 69) == "stale a false")
    ended(.answered(Self.answer("b")), after: 69)
    #expect(ask(after: 69) == "fresh b")
    #expect(ask(after: 139) == "fetch")
    #expect(ask(after: 139) == "wait")
  }

  @Test("A fetch that fails keeps what is there, and the next who asks fetches again")
  mutating func failures() {
    struct Failed: Error {}
    _ = ask()
    ended(.answered(Self.answer("a")))
    #expect(ask(after: 10) == "stale a true")
    ended(.failed(Failed()))
    #expect(ask(after: 11) == "stale a true")
    #expect(ask(Self.key("other")) == "fetch")
    #expect(ask(Self.key("other"), waiter: 5) == "wait")
    #expect(ended(.failed(Failed()), Self.key("other")).woken == [5])
    #expect(ask(Self.key("other")) == "fetch")
  }

  @Test("Who goes away leaves the fetch to the first that waits")
  mutating func succession() {
    _ = ask()
    _ = ask(waiter: 1)
    _ = ask(waiter: 2)
    _ = ask(waiter: 3)
    let left = state.leave(Self.key(), 1)
    let leftAgain = state.leave(Self.key(), 1)
    #expect(left && !leftAgain)
    let ending = ended(.abandoned)
    #expect(ending.woken.isEmpty && ending.successor == 2)
    #expect(ended(.answered(Self.answer("a"))).woken == [3])
    // Nobody waits: the next who asks fetches.
    _ = ask(Self.key("other"))
    #expect(ended(.abandoned, Self.key("other")).successor == nil)
    #expect(ask(Self.key("other")) == "fetch")
  }

  @Test("Tenants, roles and requests do not share answers")
  mutating func keys() {
    _ = ask()
    ended(.answered(Self.answer("a")))
    #expect(ask(Self.key("q", "tenant")) == "fetch")
    #expect(ask(Self.key("r")) == "fetch")
  }

  @Test(
    "It keeps no more than its bytes, those kept the longest going first, and no answer that is too large")
  mutating func bounded() {
    for number in 0..<100 {
      let key = Self.key("\(number)")
      _ = ask(key)
      ended(.answered(Self.answer(String(repeating: "x", count: 1000))), key)
      #expect(state.bytes <= 10_000)
    }
    #expect(state.count == 7)
    #expect(ask(Self.key("99")).hasPrefix("fresh") && ask(Self.key("92")) == "fetch")
    let large = Self.key("large")
    _ = ask(large)
    ended(.answered(Self.answer(String(repeating: "x", count: 5000))), large)
    #expect(ask(large) == "fetch")
  }

  @Test("Answers that are replaced again and again take no more room")
  mutating func replaced() {
    for second in 0..<1000 {
      _ = ask(after: Int64(second) * 100)
      ended(.answered(Self.answer("a")), after: Int64(second) * 100)
    }
    #expect(state.count == 1 && state.bytes < 1000)
  }
}

@Suite("Reads that may be a little old")
struct ReadCacheTests {
  @Test(
    "A hundred who ask at once make one call; later ones are answered from here, with what clients may keep")
  func keySet() async throws {
    let calls = Count()
    let clock = Mutex(NIODeadline.uptimeNanoseconds(1_000_000_000_000))
    let reads = ReadCache(now: { clock.withLock { $0 } })
    let arrived = Signal()
    let method = MethodDefinition.unary("GetKeySet") { _, _ in
      if calls.add(1) == 1 { await arrived.wait() }
      return ByteBuffer()
    }
    try await withEdge(identity: [method], reads: reads) { edge in
      try await withThrowingTaskGroup(of: RawResponse.self) { group in
        for _ in 0..<100 { group.addTask { try await edge.request("GET", "/.well-known/jwks.json") } }
        // All but one wait here, or come when the answer is known: either way there is one call.
        await arrived.raise()
        for try await response in group {
          #expect(response.status == 200 && response["Cache-Control"] == "public, max-age=10")
        }
      }
      #expect(calls.value == 1)
      clock.withLock { $0 = $0 + .seconds(10) }
      let stale = try await edge.request("GET", "/.well-known/jwks.json")
      #expect(stale.status == 200)
      // It was answered before the call that it causes had to be.
      while calls.value < 2 { await Task.yield() }
      #expect(reads.usage.answers == 1 && reads.usage.bytes > 0)
    }
  }

  @Test("Whoever waits for a fetch whose caller went away fetches")
  func abandoned() async throws {
    let reads = ReadCache()
    let key = ReadKey(path: "/a/B", audience: "", request: ByteBuffer())
    let policy = ReadPolicy(fresh: .seconds(1), stale: .zero)
    let fetching = Signal()
    let leader = Task {
      try await reads.answer(key, policy) {
        await fetching.raise()
        try await untilCancelled()
        throw CancellationError()
      }
    }
    await fetching.wait()
    let joined = Signal()
    let follower = Task {
      await joined.raise()
      return try await reads.answer(key, policy) {
        ReadAnswer(message: ByteBuffer(string: "mine"), initialMetadata: [:])
      }
    }
    await joined.wait()
    leader.cancel()
    #expect(try await String(buffer: follower.value.answer.message) == "mine")
    await #expect(throws: CancellationError.self) { try await leader.value }
  }

  @Test("Who waits can be cancelled, and the fetch goes on")
  func cancelledWaiter() async throws {
    let reads = ReadCache()
    let key = ReadKey(path: "/a/B", audience: "", request: ByteBuffer())
    let policy = ReadPolicy(fresh: .seconds(1), stale: .zero)
    let (fetching, end) = (Signal(), Signal())
    async let leader = reads.answer(key, policy) {
      await fetching.raise()
      await end.wait()
      return ReadAnswer(message: ByteBuffer(string: "a"), initialMetadata: [:])
    }
    await fetching.wait()
    let waiter = Task {
      try await reads.answer(key, policy) { throw RPCError(.internal, "not to be called") }
    }
    waiter.cancel()
    await #expect(throws: CancellationError.self) { try await waiter.value }
    await end.raise()
    #expect(try await String(buffer: leader.answer.message) == "a")
  }
}
