import Logging
import NIOCore

/// Keeps the addresses of a client's target up to date: asks when a channel is first used, when connections fail, and
/// once in a while, never more often than its configuration says. Lives on one event loop.
final class Resolution: @unchecked Sendable {
  private let target: RPCTarget
  private let configuration: RPCClient.Configuration.Resolution
  private let eventLoop: any EventLoop
  private let logger: Logger

  /// Those that want to know.
  private var channels: [LoopChannel] = []
  /// What each name stood for when it could last be resolved.
  private var found: [RPCAddress: [RPCAddress]] = [:]
  private var latest: Result<[RPCAddress], RPCError>?
  private var schedule: ResolutionSchedule
  private var timer: Scheduled<Void>?

  init(
    _ target: RPCTarget, configuration: RPCClient.Configuration, eventLoop: any EventLoop, logger: Logger
  ) {
    self.target = target
    self.configuration = configuration.resolution
    self.eventLoop = eventLoop
    self.logger = logger
    schedule = ResolutionSchedule(configuration.resolution, backoff: configuration.backoff)
  }

  /// The addresses the channel knows may be out of date, or it knows none. From any loop.
  func request(for channel: LoopChannel) {
    eventLoop.execute {
      let step = self.schedule.request(at: self.eventLoop.now)
      if !self.channels.contains(where: { $0 === channel }) {
        self.channels.append(channel)
        if let known = self.known { Self.deliver(known, to: channel) }
      }
      self.perform(step)
    }
  }

  /// The latest result, unless it is a failure, perhaps of long ago, that is being looked into again.
  private var known: Result<[RPCAddress], RPCError>? {
    if case .failure = latest, schedule.isResolving { nil } else { latest }
  }

  /// The channel has fallen asleep. Once all have, nothing is looked up until one of them asks again.
  func release(_ channel: LoopChannel) {
    eventLoop.execute {
      self.channels.removeAll { $0 === channel }
      self.restIfUnused()
    }
  }

  private func restIfUnused() {
    guard channels.isEmpty else { return }
    schedule.rest()
    timer?.cancel()
  }

  func stop() {
    eventLoop.execute {
      self.schedule.stop()
      self.timer?.cancel()
      self.channels.removeAll()
    }
  }

  private static func deliver(_ result: Result<[RPCAddress], RPCError>, to channel: LoopChannel) {
    channel.eventLoop.execute { channel.resolved(result) }
  }

  private func perform(_ step: ResolutionSchedule.Step) {
    switch step {
    case .none: break
    case .resolve: resolve()
    case .wait(let until):
      timer?.cancel()
      timer = eventLoop.assumeIsolated().scheduleTask(deadline: until) {
        self.perform(self.schedule.timerFired(at: self.eventLoop.now))
      }
    }
  }

  private func resolve() {
    let lookups = target.hosts.map { host in
      switch host {
      case .tcp(let name, let port) where IPLiteral(name) == nil:
        configuration.resolver.addresses(name, port, eventLoop)
      case .tcp, .unix, .inProcess:
        eventLoop.makeSucceededFuture([host])
      }
    }
    EventLoopFuture.whenAllComplete(lookups, on: eventLoop).assumeIsolated().whenSuccess {
      self.resolved($0)
    }
  }

  /// Names that could be resolved count although others could not; and what was known of those is better than nothing.
  private func resolved(_ results: [Result<[RPCAddress], any Error>]) {
    var problem: String?
    for (host, result) in zip(target.hosts, results) {
      switch result {
      case .success(let addresses) where !addresses.isEmpty: found[host] = addresses
      case .success: problem = "cannot resolve \(target): no addresses"
      case .failure(let error): problem = "\(error)"
      }
    }
    if let problem, schedule.failures == 0 { logger.warning("\(problem)") }
    let addresses = Self.distinct(target.hosts.flatMap { found[$0] ?? [] })
    let result: Result<[RPCAddress], RPCError> =
      addresses.isEmpty
      ? .failure(RPCError(.unavailable, problem ?? "\(target) names nothing")) : .success(addresses)
    latest = result
    for channel in channels { Self.deliver(result, to: channel) }
    perform(schedule.ended(at: eventLoop.now, isSuccess: problem == nil, random: .random(in: -1...1)))
    restIfUnused()
  }

  /// Several names may stand for one address. Each address costs a connection per event loop, so there is a limit to
  /// what a name server can make of a name.
  static func distinct(_ addresses: [RPCAddress]) -> [RPCAddress] {
    var seen: Set<RPCAddress> = []
    return Array(addresses.filter { seen.insert($0).inserted }.prefix(RPCTarget.maxHosts))
  }
}

/// When names are looked up.
struct ResolutionSchedule {
  enum Step: Equatable {
    case none
    case resolve
    /// Comes back with `timerFired`, unless another wait replaces this one.
    case wait(until: NIODeadline)
  }

  private enum State {
    case idle
    case resolving
    case waiting(until: NIODeadline)
    case stopped
  }

  private let configuration: RPCClient.Configuration.Resolution
  private let backoff: Backoff
  private var state = State.idle
  /// Before then nothing is looked up, whoever asks.
  private var earliest = NIODeadline.distantPast
  private(set) var failures = 0

  init(_ configuration: RPCClient.Configuration.Resolution, backoff: Backoff) {
    self.configuration = configuration
    self.backoff = backoff
  }

  var isResolving: Bool {
    if case .resolving = state { true } else { false }
  }

  mutating func request(at now: NIODeadline) -> Step {
    switch state {
    case .resolving, .stopped: return .none
    case .idle where earliest <= now, .waiting where earliest <= now: break
    case .waiting(let until) where until <= earliest: return .none
    case .idle, .waiting:
      state = .waiting(until: earliest)
      return .wait(until: earliest)
    }
    state = .resolving
    return .resolve
  }

  mutating func timerFired(at now: NIODeadline) -> Step {
    guard case .waiting(let until) = state, until <= now else { return .none }
    state = .resolving
    return .resolve
  }

  mutating func ended(at now: NIODeadline, isSuccess: Bool, random: Double) -> Step {
    guard case .resolving = state else { return .none }
    failures = isSuccess ? 0 : failures + 1
    let pause =
      isSuccess
      ? max(configuration.interval, configuration.minimumInterval)
      : backoff.pause(failures: failures, random: random)
    // After a failure the backoff decides; after a success the next look may come sooner than planned.
    earliest = now + TimeAmount(isSuccess ? configuration.minimumInterval : pause)
    state = .waiting(until: now + TimeAmount(pause))
    return .wait(until: now + TimeAmount(pause))
  }

  /// Nobody needs the addresses, until the next request.
  mutating func rest() {
    if case .waiting = state { state = .idle }
  }

  mutating func stop() { state = .stopped }
}
