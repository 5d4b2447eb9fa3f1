import MainstreetAPI
import NIOCore
import RPC
import Schema
import ServiceKit
import Synchronization
import Testing

@testable import Edge

@Suite("Limits", .serialized) struct RateLimitTests {
  private let identity = StandInIdentity()
  private static let list = MethodDefinition.unary("ListStores") { _, _ in ListStoresResponse().encoded() }
  /// While which nothing comes back, so that what is counted is exact.
  private static let stopped = NIODeadline.now()
  private static let create = MethodDefinition.unary("CreateStore") { _, _ in Store(name: "x").encoded() }

  init() {
    identity.add(apiKey(1), .init(subject: "key:1", scopes: ["*"]))
  }

  @Test("are told with each answer, and end in 429 with when to come back")
  func fields() async throws {
    var sizes = BudgetSizes()
    sizes.standard[.query] = 2
    try await withGuardedEdge(identity, [Self.list], sizes: sizes) { edge in
      for remaining in [1, 0] {
        let response = try await edge.request("GET", "/stores", headers: [ownKey])
        #expect(response.status == 200)
        #expect(response["RateLimit-Policy"] == "\"query\";q=2;w=60")
        #expect(response["RateLimit"]?.hasPrefix("\"query\";r=\(remaining);t=") == true)
      }
      let response = try await edge.request("GET", "/stores", headers: [ownKey])
      #expect(response.status == 429 && response.member("code") == "RATE_LIMITED")
      #expect(response.member("type") == "https://iana.org/assignments/http-problem-types#quota-exceeded")
      #expect(response["RateLimit"]?.hasPrefix("\"query\";r=0;t=") == true)
      #expect((1...30).contains(Int(response["Retry-After"] ?? "") ?? 0))
      // A class is one budget for all its routes, and a tenant has its own.
      try await edge.expect(429, of: "/stores/x", ownKey)
      identity.add(
        apiKey(2), .init(subject: "key:2", tenant: "0190b3a2-7b1e-7cc3-98c4-dc0c0c073990", scopes: ["*"]))
      try await edge.expect(200, of: "/stores", "X-API-Key: \(apiKey(2))")
    }
  }

  @Test("are exact on one Edge, however many ask at once", arguments: [true, false])
  func exact(isShared: Bool) async throws {
    var limits = RateLimits.Configuration()
    limits.isShared = isShared
    var sizes = BudgetSizes()
    sizes.standard[.query] = 40
    try await withGuardedEdge(identity, [Self.list], limits: limits, sizes: sizes, clock: Self.stopped) {
      edge in
      let counted = try await statuses(of: 100, to: [edge])
      #expect(counted == [200: 40, 429: 60])
    }
  }

  @Test("are kept by two Edges together")
  func together() async throws {
    try await withGuardedEdge(identity, [Self.list], sizes: BudgetSizes(), clock: Self.stopped) { one in
      try await withGuardedEdge(identity, [Self.list], sizes: BudgetSizes(), clock: Self.stopped) { other in
        let statuses = try await statuses(of: 160, to: [one, other])
        #expect((95...105).contains(statuses[200] ?? 0), "\(statuses)")
        // Some in one call, not one for each.
        #expect(identity.state.withLock { $0.leases } < 200)
      }
    }
  }

  @Test("are the Edge's own part while identity is away, which its metrics show")
  func alone() async throws {
    let metrics = MetricsRegistry()
    var limits = RateLimits.Configuration()
    limits.edges = 4
    try await withGuardedEdge(
      identity, [Self.list], limits: limits, sizes: BudgetSizes(), metrics: metrics, clock: Self.stopped
    ) {
      edge in
      // Known while identity is there.
      let known = try await edge.request("POST", "/stores", "{}", headers: [ownKey])
      #expect(known.status == 400)
      identity.state.withLock { $0.isDown = true }
      let counted = try await statuses(of: 100, to: [edge])
      #expect(counted == [200: 25, 429: 75])
      #expect(metrics.exposition().contains("edge_limits_alone 1"))
      #expect(metrics.exposition().contains("edge_limits_lease_failures_total"))
    }
  }

  @Test("are ten times as many with the plan premium, and what is the tenant's own before that")
  func sizes() throws {
    func caller(_ plan: Plan, _ limits: [RateLimit] = []) throws -> Caller {
      try #require(
        Caller(
          ExchangeCredentialResponse(
            principal: "v1.a.b.c",
            claims: PrincipalClaims(subject: "key:1", expiresAt: Timestamp(seconds: 1)),
            plan: plan, rateLimits: limits)))
    }
    let sizes = BudgetSizes()
    let (free, premium) = (try caller(.free), try caller(.premium))
    #expect(sizes.perMinute(.ingest, of: free) == 1000)
    #expect(sizes.perMinute(.query, of: premium) == 1000)
    let special = try caller(.premium, [RateLimit(rateClass: "query", perMinute: 7)])
    #expect(sizes.perMinute(.query, of: special) == 7)
    #expect(sizes.perMinute(.write, of: special) == 3000)
    #expect(sizes.perMinute(.auth, of: nil) == 10)
  }

  @Test("can be less for one key than for its tenant")
  func shares() async throws {
    identity.add(apiKey(2), .init(subject: "key:2", scopes: ["*"]))
    var sizes = BudgetSizes()
    sizes.standard[.query] = 10
    sizes.keyPercent = 60
    try await withGuardedEdge(identity, [Self.list], sizes: sizes, clock: Self.stopped) { edge in
      let counted = try await statuses(of: 10, to: [edge])
      #expect(counted == [200: 6, 429: 4])
      let others = try await statuses(of: 10, to: [edge], "X-API-Key: \(apiKey(2))")
      #expect(others == [200: 4, 429: 6])
    }
  }

  @Test("hold no more buckets than they may: full ones go first")
  func bound() {
    let clock = Mutex(NIODeadline.uptimeNanoseconds(1_000_000_000_000))
    var configuration = RateLimits.Configuration()
    configuration.maxBuckets = 100
    let limits = RateLimits(configuration, now: { clock.withLock { $0 } })
    func take(_ owner: String) -> Bool {
      if case .allowed = limits.takeLocally(BudgetKey(owner: owner, rateClass: "query"), perMinute: 1) {
        true
      } else {
        false
      }
    }
    for number in 0..<1000 { #expect(take("\(number)")) }
    #expect(limits.bucketCount == 100)
    clock.withLock { $0 = $0 + .seconds(59) }
    #expect(take("late"))
    clock.withLock { $0 = $0 + .seconds(2) }
    for number in 0..<50 { #expect(take("new \(number)")) }
    #expect(limits.bucketCount == 51)
    #expect(!take("late"))
  }

  /// How many of so many requests, at once, end how.
  private func statuses(
    of count: Int, to edges: [EdgeUnderTest], _ header: String = ownKey
  ) async throws -> [Int: Int] {
    try await withThrowingTaskGroup(of: [Int].self) { group in
      for worker in 0..<min(count, 20) {
        group.addTask {
          let client = try await edges[worker % edges.count].connect()
          var statuses: [Int] = []
          for _ in 0..<(count / min(count, 20)) {
            statuses.append(try await client.request("GET", "/stores", headers: [header]).status)
          }
          try await client.close()
          return statuses
        }
      }
      return try await group.reduce(into: [:]) { counts, statuses in
        for status in statuses { counts[status, default: 0] += 1 }
      }
    }
  }
}

/// What the caller of these tests shows.
private let ownKey = "X-API-Key: \(apiKey(1))"
