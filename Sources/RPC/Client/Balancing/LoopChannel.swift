import DequeModule
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
  /// Why calls fail while in transient failure.
  var failure = RPCError(.unavailable, "no connection yet")
  /// The subchannels that take calls, and whose turn it was.
  var rotation: [Subchannel] = []
  private var turn = 0
  /// Attempts that wait for a connection, or for the peer to allow another stream.
  private(set) var waiting = Deque<ClientAttempt>()
  private var isEmptyingQueue = false
  /// Since the idle timer last looked.
  var hasHadCalls = false
  var isShutDown = false
  var idleTimer: RepeatedTask?
  var outlierTimer: RepeatedTask?
  private(set) lazy var deadlines = DeadlineTimer(on: eventLoop) { [unowned self] in self.expire($0) }

  init(
    target: RPCTarget, resolution: Resolution?, configuration: RPCClient.Configuration,
    eventLoop: any EventLoop, logger: Logger
  ) {
    authority = Array(target.authority.utf8)
    serverName = configuration.tls?.serverName ?? target.serverName
    addresses = resolution == nil ? target.hosts : []
    self.resolution = resolution
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.logger = logger
    policy =
      switch configuration.balancing {
      case .pickFirst: PickFirst()
      case .roundRobin: RoundRobin()
      }
  }

  func submit(_ attempt: ClientAttempt) {
    if let deadline = attempt.deadline {
      guard deadline > .now() else { return attempt.expire(unconnected: connectionFailure) }
      deadlines.include(deadline)
    }
    hasHadCalls = true
    if waiting.isEmpty, open(attempt) { return }
    guard !isShutDown else { return attempt.failed(.clientShutDown, sent: false) }
    if connectivity == .transientFailure, !attempt.waitForReady {
      return attempt.failed(failure, sent: false)
    }
    wait(attempt)
    if connectivity == .idle { wake() }
  }

  /// Why there is no connection, if there is none.
  private var connectionFailure: RPCError? { connectivity == .ready ? nil : failure }

  private func wait(_ attempt: ClientAttempt) {
    if waiting.count >= configuration.maxQueuedCalls {
      // Those that were cancelled meanwhile take nobody's place.
      waiting.removeAll(where: \.isFinished)
    }
    guard waiting.count < configuration.maxQueuedCalls else {
      return attempt.failed(RPCError(.unavailable, "too many calls wait for a connection"), sent: false)
    }
    waiting.append(attempt)
  }

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
        connection.hasCarriedCalls = true
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
    while let attempt = waiting.popFirst() {
      guard attempt.isFinished || open(attempt) else { return waiting.prepend(attempt) }
    }
  }

  /// Fails what waits; while there may be a connection again, not those that wait for one.
  func failWaiting(with error: RPCError, isFinal: Bool = false) {
    let attempts = waiting
    waiting = isFinal ? [] : waiting.filter(\.waitForReady)
    for attempt in attempts where isFinal || !attempt.waitForReady { attempt.failed(error, sent: false) }
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
    for attempt in due { attempt.expire(unconnected: connectionFailure) }
    waiting.removeAll(where: \.isFinished)
    return next
  }
}

extension RPCError {
  static let deadlinePassed = RPCError(.deadlineExceeded, "the deadline has passed")
  static let clientShutDown = RPCError(.unavailable, "the client has shut down")
}
