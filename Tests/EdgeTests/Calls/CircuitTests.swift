import NIOCore
import RPC
import Synchronization
import Testing

@testable import Edge

@Suite("Circuit breaker, as a state")
struct CircuitStateTests {
  private static let second = TimeAmount.seconds(1)
  private var state = CircuitState()
  private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

  /// Calls that end at once.
  private mutating func call(_ count: Int, _ outcome: CircuitState.Outcome) -> CircuitState.Change? {
    var change: CircuitState.Change?
    for _ in 0..<count {
      let admission = state.admit(now)
      if case .refuse = admission { continue }
      change = state.ended(admission, outcome, now) ?? change
    }
    return change
  }

  @Test("It opens when half of ten calls or more fail, and not before")
  mutating func opens() {
    #expect(call(5, .answered) == nil)
    #expect(call(4, .failed) == nil)
    #expect(state.admit(now) == .pass)
    #expect(call(1, .failed) == .opened)
    #expect(state.admit(now) == .refuse(retryAfter: Self.second))
  }

  @Test("Few calls say little, however they end")
  mutating func few() {
    #expect(call(9, .failed) == nil)
    #expect(state.isClosed)
    #expect(call(1, .failed) == .opened)
  }

  @Test("A service that mostly answers is called, and what callers gave up counts for nothing")
  mutating func mostlyAnswers() {
    #expect(call(100, .answered) == nil)
    #expect(call(99, .failed) == nil)
    #expect(call(1000, .abandoned) == nil)
    #expect(call(1, .failed) == .opened)
  }

  @Test("What is longer ago than the window is forgotten")
  mutating func window() {
    #expect(call(9, .failed) == nil)
    now = now + .seconds(10)
    #expect(call(9, .failed) == nil)
    // Within it, also when it lies in several slices.
    for _ in 0..<3 {
      now = now + .seconds(3)
      #expect(state.isClosed)
    }
    #expect(call(1, .failed) == .opened)
  }

  @Test("After the pause one call is let through, and its end decides")
  mutating func probes() {
    _ = call(10, .failed)
    now = now + Self.second
    #expect(state.admit(now) == .probe)
    #expect(state.admit(now) == .refuse(retryAfter: Self.second))
    #expect(state.ended(.probe, .failed, now) == nil)
    #expect(state.admit(now) == .refuse(retryAfter: Self.second))
    now = now + Self.second
    #expect(state.admit(now) == .probe)
    #expect(state.ended(.probe, .answered, now) == .closed)
    // What came before is forgotten.
    #expect(call(9, .failed) == nil)
    #expect(state.isClosed)
  }

  @Test("A probe whose caller goes away, or that does not end, makes room for another")
  mutating func lostProbes() {
    _ = call(10, .failed)
    now = now + Self.second
    #expect(state.admit(now) == .probe)
    #expect(state.ended(.probe, .abandoned, now) == nil)
    #expect(state.admit(now) == .probe)
    now = now + Self.second
    #expect(state.admit(now) == .probe)
    #expect(state.ended(.probe, .answered, now) == .closed)
    // The one that was given up comes back after all.
    #expect(state.ended(.probe, .failed, now) == nil)
    #expect(state.isClosed)
  }

  @Test("Calls that began before it opened neither close it nor keep it open")
  mutating func stragglers() {
    let admission = state.admit(now)
    _ = call(10, .failed)
    #expect(state.ended(admission, .answered, now) == nil)
    #expect(!state.isClosed)
  }
}

@Suite("Circuit breaker")
struct CircuitTests {
  private static let id = EdgeUnderTest.tenant

  @Test("A service that fails is left alone, and called again when it is back")
  func opensAndCloses() async throws {
    let clock = Mutex(NIODeadline.uptimeNanoseconds(1_000_000_000_000))
    let isBroken = Atomic(true)
    let calls = Count()
    let get = MethodDefinition.unary("GetStore") { _, _ in
      calls.add(1)
      if isBroken.load(ordering: .relaxed) { throw RPCError(.deadlineExceeded, "too slow") }
      return ByteBuffer()
    }
    let circuit = Circuit("store", logger: .quiet, now: { clock.withLock { $0 } })
    try await withEdge([get], interceptors: [circuit.interceptor]) { edge in
      let client = try await edge.connect()
      for _ in 0..<10 {
        let response = try await client.request("GET", "/stores/\(Self.id)")
        #expect(response.status == 504)
      }
      let refused = try await client.request("GET", "/stores/\(Self.id)")
      #expect(refused.status == 503 && refused.member("code") == "SERVICE_UNAVAILABLE")
      #expect(refused["Retry-After"] == "1")
      #expect(calls.value == 10 && !circuit.isClosed)

      isBroken.store(false, ordering: .relaxed)
      clock.withLock { $0 = $0 + .seconds(1) }
      let probe = try await client.request("GET", "/stores/\(Self.id)")
      #expect(probe.status == 200 && circuit.isClosed)
    }
  }

  @Test("Errors of the caller's own do not open it")
  func callersErrors() async throws {
    let get = MethodDefinition.unary("GetStore") { _, _ in throw RPCError(.notFound, "no") }
    let circuit = Circuit("store", logger: .quiet)
    try await withEdge([get], interceptors: [circuit.interceptor]) { edge in
      let client = try await edge.connect()
      for _ in 0..<20 {
        let response = try await client.request("GET", "/stores/\(Self.id)")
        #expect(response.status == 404)
      }
      #expect(circuit.isClosed)
    }
  }
}
