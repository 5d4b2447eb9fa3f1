import Logging
import MainstreetAPI
import Metrics
import NIOCore
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization

/// Finds out who is behind a credential: from memory if it may, else by asking identity, once for all requests that wait
/// for the same answer.
final class Callers: Service, Sendable {
  struct Timing: Sendable {
    var exchangeDeadline: TimeAmount = .seconds(5)
    /// After so long without a word the watch is begun anew.
    var watchSilence: TimeAmount = .seconds(4)
    var watchPause: Duration = .milliseconds(200)
    /// Exchanges under way at a time; a request that would begin another is told to come back.
    var maxExchanges = 1000

    init() {}
  }

  private typealias Outcome = Result<Caller, RPCError>

  private struct State {
    var known: KnownCallers
    /// Who waits, by what for. Refreshes are waited for by nobody.
    var underWay: [CredentialDigest: [CheckedContinuation<Outcome, Never>]] = [:]
    var isRunning = true
    var sequence: UInt64?
  }

  private struct Work: Sendable {
    let credential: Credential
    let digest: CredentialDigest
    let address: String
    let ticket: KnownCallers.Ticket
  }

  private let identity: AccessServiceClient
  private let own: ServicePrincipal
  private let timing: Timing
  private let now: @Sendable () -> NIODeadline
  private let logger: Logger
  private let state: Mutex<State>
  private let work: AsyncStream<Work>
  private let addWork: AsyncStream<Work>.Continuation
  private let metrics: CallerMetrics

  init(
    identity: AccessServiceClient, own: ServicePrincipal, limits: KnownCallers.Limits = .init(),
    timing: Timing = Timing(), now: @escaping @Sendable () -> NIODeadline = { .now() },
    metrics: any MetricsFactory, logger: Logger
  ) {
    self.identity = identity
    self.own = own
    self.timing = timing
    self.now = now
    self.logger = logger
    self.metrics = CallerMetrics(metrics)
    state = Mutex(State(known: KnownCallers(limits: limits)))
    (work, addWork) = AsyncStream.makeStream()
  }

  // MARK: Asking

  /// What memory has: the caller, or nil when identity must be asked.
  /// - Throws: UNAUTHENTICATED for what identity refused a moment ago.
  func recall(_ credential: Credential, address: String) throws(RPCError) -> Caller? {
    let digest = credential.digest
    let now = now()
    let finding = state.withLock { state -> KnownCallers.Finding in
      let finding = state.known.find(digest, now: now)
      if case .caller(_, true) = finding { begin(credential, digest, address, now, &state) }
      return finding
    }
    switch finding {
    case .caller(let caller, _):
      metrics.recalled.increment()
      return caller
    case .refused(let error):
      metrics.refused.increment()
      throw error
    case .unknown: return nil
    }
  }

  /// Asks identity, or joins those who do already.
  /// - Throws: UNAUTHENTICATED with the reason, UNAVAILABLE when identity cannot be asked.
  func exchange(_ credential: Credential, address: String) async throws(RPCError) -> Caller {
    let digest = credential.digest
    let outcome = await withCheckedContinuation { (waiter: CheckedContinuation<Outcome, Never>) in
      let refusal = state.withLock { state -> RPCError? in
        if state.underWay[digest] == nil {
          guard state.isRunning, begin(credential, digest, address, now(), &state) else {
            return .identityBusy
          }
        }
        state.underWay[digest, default: []].append(waiter)
        return nil
      }
      if let refusal { waiter.resume(returning: .failure(refusal)) }
    }
    return try outcome.get()
  }

  /// Begins an exchange unless there is one; false when there are too many.
  @discardableResult
  private func begin(
    _ credential: Credential, _ digest: CredentialDigest, _ address: String, _ now: NIODeadline,
    _ state: inout State
  ) -> Bool {
    guard state.underWay[digest] == nil else { return true }
    guard state.underWay.count < timing.maxExchanges else { return false }
    state.underWay[digest] = []
    addWork.yield(
      Work(credential: credential, digest: digest, address: address, ticket: state.known.ticket(now: now)))
    return true
  }

  /// Whether memory counts.
  var isHearing: Bool { state.withLock { $0.known.isHearing(now()) } }

  // MARK: Running

  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.watch() }
        group.addTask {
          await withDiscardingTaskGroup { exchanges in
            for await work in self.work { exchanges.addTask { await self.carryOut(work) } }
          }
        }
      }
    }
    let waiting = state.withLock { state in
      state.isRunning = false
      defer { state.underWay = [:] }
      return state.underWay.values.flatMap(\.self)
    }
    for waiter in waiting { waiter.resume(returning: .failure(.identityUnavailable)) }
  }

  private func carryOut(_ work: Work) async {
    let outcome = await outcome(of: work)
    let now = now()
    let waiting = state.withLock { state in
      switch outcome {
      case .success(let caller):
        let seconds = caller.principal.expiresAt - unixSeconds()
        state.known.learn(caller, of: work.digest, lasting: seconds, work.ticket, now: now)
      case .failure(let error):
        if error.code == .unauthenticated { state.known.learn(error, of: work.digest, now: now) }
      }
      return state.underWay.removeValue(forKey: work.digest) ?? []
    }
    for waiter in waiting { waiter.resume(returning: outcome) }
  }

  private func outcome(of work: Work) async -> Outcome {
    do {
      let options = CallOptions(
        metadata: [Principal.metadataKey: try own.text], deadline: .now() + timing.exchangeDeadline)
      let response = try await identity.exchangeCredential(
        work.credential.exchangeRequest(from: work.address), options: options)
      guard let caller = Caller(response.message) else {
        throw RPCError(.internal, "identity's answer names no caller")
      }
      metrics.exchanged.increment()
      return .success(caller)
    } catch let error as RPCError where error.code == .unauthenticated && !error.concernsPrincipal {
      metrics.refused.increment()
      return .failure(error)
    } catch {
      metrics.failed.increment()
      if !Task.isCancelled {
        logger.warning("a credential cannot be exchanged", metadata: ["error": "\(error)"])
      }
      return .failure(.identityUnavailable)
    }
  }

  // MARK: Revocations

  /// Listens for as long as the Edge runs; a watch that falls silent is begun anew.
  private func watch() async {
    while !Task.isCancelled {
      let began = now()
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await self.listen() }
        group.addTask { await self.waitForSilence(since: began) }
        await group.next()
        group.cancelAll()
      }
      try? await Task.sleep(for: timing.watchPause)
    }
  }

  private func listen() async {
    do {
      let after = state.withLock { $0.sequence }
      try await identity.watchRevocations(
        WatchRevocationsRequest(after: after),
        options: CallOptions(metadata: [Principal.metadataKey: try own.text])
      ) { stream in
        for try await message in stream { self.hear(message) }
      }
    } catch {
      if !Task.isCancelled { logger.info("revocations are not heard of", metadata: ["error": "\(error)"]) }
    }
  }

  private func hear(_ message: Revocations) {
    let now = now()
    state.withLock { state in
      state.known.hear(revoked: message.ids, isReset: message.reset, now: now)
      state.sequence = message.sequence
    }
    metrics.revocations.increment(by: message.ids.count)
  }

  private func waitForSilence(since began: NIODeadline) async {
    while !Task.isCancelled {
      let heard = state.withLock { $0.known.heardAt } ?? began
      metrics.hearing.record(isHearing ? 1 : 0)
      if now() - max(heard, began) > timing.watchSilence { return }
      try? await Task.sleep(for: timing.watchPause)
    }
  }
}

private struct CallerMetrics: Sendable {
  let recalled: Counter
  let exchanged: Counter
  let refused: Counter
  let failed: Counter
  let revocations: Counter
  let hearing: Gauge

  init(_ factory: any MetricsFactory) {
    func counter(_ outcome: String) -> Counter {
      Counter(label: "edge_credentials_total", dimensions: [("outcome", outcome)], factory: factory)
    }
    recalled = counter("recalled")
    exchanged = counter("exchanged")
    refused = counter("refused")
    failed = counter("failed")
    revocations = Counter(label: "edge_revocations_total", dimensions: [], factory: factory)
    hearing = Gauge(label: "edge_revocations_heard", dimensions: [], factory: factory)
  }
}

extension RPCError {
  static let identityUnavailable = RPCError(
    .unavailable, "Who is calling cannot be found out at the moment; try again.",
    reason: "IDENTITY_UNAVAILABLE",
    retryAfter: .seconds(1))
  static let identityBusy = RPCError(
    .unavailable, "Too many callers are being looked up at the moment; try again.", reason: "IDENTITY_BUSY",
    retryAfter: .seconds(1))
}
