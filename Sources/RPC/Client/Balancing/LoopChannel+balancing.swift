import Logging
import NIOCore

// Which subchannels there are, and which of them take calls.
extension LoopChannel {
  // MARK: Addresses

  /// The first call, or the first after a long silence.
  func wake() {
    startTimers()
    if addresses.isEmpty {
      connectivity = .connecting
    } else {
      if subchannels.isEmpty { use(addresses) }
      rebalance(isWanted: true)
    }
    resolution?.request(for: self)
  }

  /// What the name stands for, looked up because this channel or one on another loop asked.
  func resolved(_ result: Result<[RPCAddress], RPCError>) {
    guard !isShutDown else { return }
    switch result {
    case .success(let addresses):
      let isAwake = connectivity != .idle
      self.addresses = addresses
      resolutionFailure = nil
      if isAwake {
        use(addresses)
        rebalance()
      }
    case .failure(let error):
      // What was known before is better than nothing.
      guard subchannels.isEmpty, connectivity != .idle else { return }
      connectivity = .transientFailure
      resolutionFailure = error
      failWaiting(with: error)
    }
  }

  /// Those that stay keep their connections and what is known of them; those that go finish their calls.
  private func use(_ addresses: [RPCAddress]) {
    var addresses = addresses
    if case .pickFirst(shuffled: true) = configuration.balancing { addresses.shuffle() }
    let known = Dictionary(uniqueKeysWithValues: subchannels.map { ($0.address, $0) })
    subchannels = addresses.map { known[$0] ?? Subchannel(address: $0, channel: self) }
    let kept = Set(addresses)
    for (address, subchannel) in known where !kept.contains(address) { leave(subchannel) }
  }

  private func leave(_ subchannel: Subchannel) {
    _ = subchannel.shutDown()
    if !subchannel.connections.isEmpty { leaving.append(subchannel) }
  }

  /// A subchannel that was shut down has lost its last connection.
  func ended(_ subchannel: Subchannel) {
    leaving.removeAll { $0 === subchannel }
  }

  // MARK: States

  /// - Parameter wasInUse: it has lost its connection while that carried calls. Whoever made them will make more.
  func changed(_ subchannel: Subchannel, wasInUse: Bool = false) {
    guard !isShutDown else { return }
    switch subchannel.state {
    case .idle, .transientFailure: resolution?.request(for: self)
    case .connecting, .ready: break
    }
    rebalance(isWanted: wasInUse)
  }

  /// Has the policy decide and does what it says. `isWanted`: calls are about to be made.
  func rebalance(isWanted: Bool = false) {
    guard !subchannels.isEmpty else { return }
    let decision = policy.decide(
      subchannels.map { ($0.address, state(of: $0)) },
      isWanted: isWanted || !waiting.isEmpty)
    connectivity = decision.connectivity
    rotation = decision.rotation.map { subchannels[$0] }
    for index in decision.connect { subchannels[index].connect() }
    if connectivity == .transientFailure { failWaiting(with: failure) }
    roomMade()
  }

  /// What the policy should take the subchannel for.
  private func state(of subchannel: Subchannel) -> Connectivity {
    switch subchannel.state {
    case .idle: .idle
    case .connecting: .connecting
    case .transientFailure: .transientFailure
    case .ready:
      switch subchannel.health {
      case .unknown: .connecting
      case .notServing: .transientFailure
      case .serving: subchannel.outcomes.isEjected && isAnyOtherReady ? .transientFailure : .ready
      }
    }
  }

  /// An ejected server is better than none.
  private var isAnyOtherReady: Bool {
    subchannels.contains { $0.isServing && !$0.outcomes.isEjected }
  }

  // MARK: Outliers

  /// A call to it has failed in a way that tells of the server.
  func failed(_ subchannel: Subchannel) {
    guard let detection = configuration.outlierDetection,
      let index = subchannels.firstIndex(where: { $0 === subchannel })
    else { return }
    let others = rotation.count { $0 !== subchannel }
    judge { detection.failed(index, of: &$0, others: others, at: .now()) }
  }

  private func judge(_ body: (inout [Outcomes]) -> Void) {
    var outcomes = subchannels.map(\.outcomes)
    body(&outcomes)
    var isChanged = false
    for (subchannel, outcomes) in zip(subchannels, outcomes) {
      if subchannel.outcomes.isEjected != outcomes.isEjected {
        isChanged = true
        if outcomes.isEjected { metrics?.ejected() }
        let text = outcomes.isEjected ? "ejected: its calls fail" : "back after its ejection"
        logger.warning("\(text)", metadata: ["address": "\(subchannel.address)"])
      }
      subchannel.outcomes = outcomes
    }
    if isChanged { rebalance() }
  }

  // MARK: Timers

  private func startTimers() {
    if outlierTimer == nil, let detection = configuration.outlierDetection {
      let interval = TimeAmount(detection.interval)
      outlierTimer = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) {
        [weak self] _ in
        self?.judge { detection.intervalEnded(&$0, at: .now()) }
      }
    }
    if idleTimer == nil {
      let time = TimeAmount(configuration.idleTime)
      idleTimer = eventLoop.scheduleRepeatedTask(initialDelay: time, delay: time) { [weak self] _ in
        self?.checkIdle()
      }
    }
  }

  private func checkIdle() {
    if !hasHadCalls, waiting.isEmpty, subchannels.allSatisfy(\.isUnused) { fallAsleep() }
    hasHadCalls = false
  }

  /// Nobody has called for a while: closes the connections. The next call makes them anew.
  func fallAsleep() {
    stopTimers()
    resolution?.release(self)
    resolutionFailure = nil
    connectivity = .idle
    rotation = []
    for subchannel in subchannels { leave(subchannel) }
    subchannels = []
    // What failed before may have come back long ago.
    policy = configuration.balancing.policy
  }

  private func stopTimers() {
    outlierTimer?.cancel()
    outlierTimer = nil
    idleTimer?.cancel()
    idleTimer = nil
  }

  // MARK: The end

  /// Lets the calls under way finish and takes no others; returns the channels that are still to close.
  func shutDown() -> [any Channel] {
    isShutDown = true
    stopTimers()
    rotation = []
    failWaiting(with: .clientShutDown, isFinal: true)
    for call in pausing.values { call.endPause(with: .clientShutDown) }
    let channels = (subchannels + leaving).flatMap { $0.shutDown() }
    leaving += subchannels.filter { !$0.connections.isEmpty }
    subchannels = []
    return channels
  }
}
