import HTTP2
import Logging
import NIOCore

/// The client on one event loop: gives each call a subchannel, or has it wait until one takes it. Used on its loop
/// only.
///
/// This file is the way of a call; `LoopChannel+balancing.swift` decides which subchannels there are and which of
/// them are in rotation.
final class LoopChannel: @unchecked Sendable {
  let eventLoop: any EventLoop
  let configuration: RPCClient.Configuration
  let logger: Logger
  /// `nil` where nobody collects them.
  let metrics: ClientConnectionMetrics?
  /// `nil` where there is nothing to look up.
  let resolution: Resolution?
  let authority: [UInt8]
  /// What a server's certificate must be made out to; `nil` where that is the address itself.
  let serverName: String?

  /// One per address. They and the channel hold each other until `shutDown`: a client that makes calls is one that is
  /// run.
  var subchannels: [Subchannel] = []
  /// Those whose address is gone, until their calls have ended.
  var leaving: [Subchannel] = []
  var policy: any BalancingPolicy
  var addresses: [RPCAddress]
  var connectivity = Connectivity.idle
  /// Why there are no addresses, if there are none.
  var resolutionFailure: RPCError?
  /// The subchannels that take calls, and whose turn it was.
  var rotation: [Subchannel] = []
  private var turn = 0
  private(set) var waiting: AttemptQueue
  private var isEmptyingQueue = false
  /// Calls with a further attempt to come: where there is none under way, no stream and no queue knows of them.
  var pausing: [ObjectIdentifier: ClientCall] = [:]
  /// Since the idle timer last looked.
  var hasHadCalls = false
  var isShutDown = false
  var idleTimer: RepeatedTask?
  var outlierTimer: RepeatedTask?
  private(set) lazy var deadlines = DeadlineTimer(on: eventLoop) { [unowned self] in self.expire($0) }

  init(
    target: RPCTarget, resolution: Resolution?, configuration: RPCClient.Configuration,
    eventLoop: any EventLoop, logger: Logger, metrics: ClientConnectionMetrics? = nil
  ) {
    authority = Array(target.authority.utf8)
    serverName = configuration.tls?.serverName ?? target.serverName
    addresses = resolution == nil ? target.hosts : []
    self.resolution = resolution
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.logger = logger
    self.metrics = metrics
    waiting = AttemptQueue(metrics)
    policy = configuration.balancing.policy
  }

  func submit(_ attempt: ClientAttempt) {
    if let deadline = attempt.deadline {
      guard deadline > .now() else {
        return attempt.expire(unconnected: connectivity == .ready ? nil : failure)
      }
      deadlines.include(deadline)
    }
    hasHadCalls = true
    if waiting.isEmpty, open(attempt) { return }
    guard !isShutDown else { return attempt.failed(.clientShutDown) }
    if connectivity == .transientFailure, !attempt.waitForReady {
      return attempt.failed(failure)
    }
    guard waiting.count < configuration.maxQueuedCalls else {
      let error = RPCError(.unavailable, "the queue of \(waiting.count) calls is full: \(failure.message)")
      return attempt.failed(error)
    }
    waiting.append(attempt)
    if connectivity == .idle { wake() }
  }

  /// Why there is no connection, if that is known.
  var connectionFailure: RPCError? {
    connectivity == .ready ? nil : subchannels.lazy.compactMap(\.failure).first ?? resolutionFailure
  }

  /// Why a call waits or fails that has no stream.
  var failure: RPCError {
    if connectivity == .ready { return .saturated }
    return connectionFailure ?? (connectivity == .transientFailure ? .noneHealthy : .unconnected)
  }

  /// Its call has ended: it takes nobody's place.
  func leaveQueue(_ attempt: ClientAttempt) {
    waiting.remove(attempt)
  }

  // MARK: Streams

  /// Opens a stream for the attempt on the next subchannel that has room, if possible not one where the call has
  /// failed before.
  private func open(_ attempt: ClientAttempt) -> Bool {
    if !attempt.avoiding.isEmpty, open(attempt, avoiding: attempt.avoiding) { return true }
    return open(attempt, avoiding: [])
  }

  private func open(_ attempt: ClientAttempt, avoiding: [ObjectIdentifier]) -> Bool {
    // The rotation may change on the way.
    var tries = rotation.count
    while tries > 0, !rotation.isEmpty {
      tries -= 1
      turn = turn + 1 < rotation.count ? turn + 1 : 0
      let subchannel = rotation[turn]
      guard avoiding.isEmpty || !avoiding.contains(ObjectIdentifier(subchannel)),
        let connection = subchannel.connectionWithRoom
      else { continue }
      if let stream = connection.http2?.open(attempt.headers(authority: authority), delegate: attempt) {
        attempt.opened(stream, on: subchannel)
        return true
      }
      subchannel.usedUp(connection)
    }
    return false
  }

  /// A subchannel may take another stream: one has closed, the peer allows more, or it came into rotation.
  func roomMade() {
    guard !waiting.isEmpty, !isEmptyingQueue else { return }
    isEmptyingQueue = true
    defer { isEmptyingQueue = false }
    while let attempt = waiting.first, open(attempt) { waiting.remove(attempt) }
  }

  /// Fails what waits; while there may be a connection again, not those that wait for one.
  func failWaiting(with error: RPCError, isFinal: Bool = false) {
    for attempt in waiting.removeAll(where: { isFinal || !$0.waitForReady }) {
      attempt.failed(error)
    }
  }

  /// Ends the calls that are due, waiting or under way, and returns the next deadline.
  private func expire(_ now: NIODeadline) -> NIODeadline? {
    var due: [ClientAttempt] = []
    var next: NIODeadline?
    func check(_ attempt: ClientAttempt) {
      guard !attempt.isFinished, let deadline = attempt.deadline else { return }
      if deadline <= now { due.append(attempt) } else { next = min(next ?? deadline, deadline) }
    }
    waiting.forEach(check)
    for subchannel in subchannels + leaving {
      subchannel.forEachDelegate { ($0 as? ClientAttempt).map(check) }
    }
    let failure = failure
    for attempt in due { attempt.expire(unconnected: failure) }
    return next
  }
}

extension RPCError {
  static let deadlinePassed = RPCError(.deadlineExceeded, "the deadline has passed")
  static let clientShutDown = RPCError(.unavailable, "the client has shut down")
  fileprivate static let unconnected = RPCError(.unavailable, "no connection yet")
  fileprivate static let saturated = RPCError(
    .unavailable, "every connection has as many calls as its server allows")
  fileprivate static let noneHealthy = RPCError(.unavailable, "no server says that it is healthy")
}
