import Logging
import MainstreetAPI
import Metrics
import NIOCore
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization

/// Asks identity for parts of the budgets that the Edges share: for all that want some in one call, one call at a time.
struct BudgetLeases: Service {
  private let limits: RateLimits
  private let identity: AccessServiceClient
  private let own: ServicePrincipal
  private let holder: String
  private let deadline: TimeAmount
  private let logger: Logger
  private let alone: Gauge
  private let failures: Counter
  private let leases: Counter

  /// - Parameter holder: what identity calls this Edge.
  init(
    _ limits: RateLimits, identity: AccessServiceClient, own: ServicePrincipal, holder: String,
    deadline: TimeAmount = .seconds(1), metrics: any MetricsFactory, logger: Logger
  ) {
    self.limits = limits
    self.identity = identity
    self.own = own
    self.holder = holder
    self.deadline = deadline
    self.logger = logger
    alone = Gauge(label: "edge_limits_alone", dimensions: [], factory: metrics)
    failures = Counter(label: "edge_limits_lease_failures_total", dimensions: [], factory: metrics)
    leases = Counter(label: "edge_limits_leases_total", dimensions: [], factory: metrics)
    alone.record(0)
  }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      for await _ in limits.wakes {
        while case let asked = limits.beginAsking(most: Self.mostAtOnce), !asked.isEmpty {
          await lease(asked)
        }
      }
    }
    limits.stop()
  }

  /// As the contract has it (`LeaseBudgetsRequest.budgets`).
  private static let mostAtOnce = 1000

  private func lease(_ asked: [RateLimits.Asked]) async {
    do {
      let request = LeaseBudgetsRequest(
        holder: holder,
        budgets: asked.map {
          BudgetRequest(budget: $0.key.name, perMinute: UInt32($0.perMinute), wanted: UInt32($0.wanted))
        })
      var options = CallOptions(
        metadata: [Principal.metadataKey: try own.text], deadline: .now() + deadline)
      // Calls wait for this: better alone at once than together too late.
      options.policy.readiness = .failFast
      let leased = try await identity.leaseBudgets(request, options: options).message.leases
      guard leased.count == asked.count else {
        throw RPCError(.internal, "identity leased other budgets than asked")
      }
      leases.increment(by: leased.count)
      alone.record(0)
      limits.leased(zip(asked, leased).map { ($0.key, $1) }, wallClock: unixSeconds())
    } catch {
      failures.increment()
      alone.record(1)
      if !Task.isCancelled {
        logger.warning("limits are counted without the other Edges", metadata: ["error": "\(error)"])
      }
      limits.failed(asked.map(\.key))
    }
  }
}

extension RateLimits {
  struct Asked: Sendable {
    let key: BudgetKey
    let perMinute: Int
    let wanted: Int
  }

  func beginAsking(most: Int) -> [Asked] {
    state.withLock { state in
      var asked: [Asked] = []
      while asked.count < most, let key = state.asking.popFirst() {
        guard let wanted = state.buckets[key].map(\.waiting.count),
          let perMinute = state.buckets[key]?.local.perMinute, state.buckets[key]?.share.isAsking == false,
          let number = state.buckets[key]?.share.ask(waiting: wanted)
        else { continue }
        asked.append(Asked(key: key, perMinute: perMinute, wanted: number))
      }
      return asked
    }
  }

  func leased(_ leases: [(BudgetKey, BudgetLease)], wallClock: Int64) {
    let now = now()
    func deadline(_ time: Timestamp?) -> NIODeadline? {
      // Clocks differ; a lease is never made longer by that than any lease is.
      time.map { now + min(.seconds(60), .seconds($0.seconds - wallClock) + .nanoseconds(Int64($0.nanos))) }
    }
    let rulings = state.withLock { state in
      state.probeAt = nil
      var rulings: [(CheckedContinuation<Ruling, Never>, Ruling)] = []
      for (key, lease) in leases {
        guard var bucket = state.buckets.removeValue(forKey: key) else { continue }
        bucket.share.granted(
          Int(lease.granted), until: deadline(lease.expiresAt) ?? now, left: Int(lease.remaining),
          availableAt: deadline(lease.availableAt), now: now)
        rulings += bucket.settle(key, now)
        if bucket.share.wants(waiting: bucket.waiting.count, now: now) { state.asking.insert(key) }
        state.buckets[key] = bucket
      }
      state.waitingCount -= rulings.count
      return rulings
    }
    for (waiter, ruling) in rulings { waiter.resume(returning: ruling) }
  }

  /// Identity has not answered: until it does this Edge counts on its own.
  func failed(_ keys: [BudgetKey]) {
    let now = now()
    let rulings = state.withLock { state in
      state.probeAt = now + configuration.probeInterval
      let keys = state.asking.union(keys)
      state.asking = []
      var rulings: [(CheckedContinuation<Ruling, Never>, Ruling)] = []
      for key in keys {
        guard var bucket = state.buckets.removeValue(forKey: key) else { continue }
        bucket.share.askingFailed()
        for waiter in bucket.waiting { rulings.append((waiter, bucket.takeAlone(key, now))) }
        bucket.waiting = []
        state.buckets[key] = bucket
      }
      state.waitingCount -= rulings.count
      return rulings
    }
    for (waiter, ruling) in rulings { waiter.resume(returning: ruling) }
  }

  /// Nobody will ask any more.
  func stop() {
    let waiting = state.withLock { state in
      state.isRunning = false
      var waiting: [CheckedContinuation<Ruling, Never>] = []
      for key in state.buckets.keys {
        waiting += state.buckets[key]?.waiting ?? []
        state.buckets[key]?.waiting = []
      }
      return waiting
    }
    for waiter in waiting { waiter.resume(returning: .overloaded) }
  }
}

extension RateLimits.Bucket {
  /// Tells those who wait, the first first, as far as that can be told.
  fileprivate mutating func settle(
    _ key: BudgetKey, _ now: NIODeadline
  ) -> [(CheckedContinuation<RateLimits.Ruling, Never>, RateLimits.Ruling)] {
    var told: [(CheckedContinuation<RateLimits.Ruling, Never>, RateLimits.Ruling)] = []
    for waiter in waiting {
      switch share.take(now: now) {
      case .go: told.append((waiter, .allowed(status(key, isShared: true, now))))
      case .spent(let until):
        local.putBack()
        told.append((waiter, .exceeded(status(key, isShared: true, now), retryAfter: until - now)))
      case .wait:
        waiting.removeFirst(told.count)
        return told
      }
    }
    waiting = []
    return told
  }
}
