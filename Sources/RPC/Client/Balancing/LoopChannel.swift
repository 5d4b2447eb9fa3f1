import DequeModule
import HTTP2
import Logging
import NIOCore

/// The client on one event loop: gives each call a subchannel, or has it wait until one takes it. Used on its loop
/// only.
final class LoopChannel: @unchecked Sendable {
  let eventLoop: any EventLoop
  let configuration: RPCClient.Configuration
  let logger: Logger
  private let authority: [UInt8]

  // It and the channel hold each other until `shutDown`: a client that makes calls is one that is run.
  private(set) var subchannels: [Subchannel] = []
  /// Those that wait for a connection, or for the peer to allow another stream.
  private var waiting = Deque<ClientAttempt>()
  private var isShutDown = false
  private(set) lazy var deadlines = DeadlineTimer(on: eventLoop) { [unowned self] in self.expire($0) }

  init(
    target: RPCAddress, configuration: RPCClient.Configuration, eventLoop: any EventLoop, logger: Logger
  ) {
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.logger = logger
    authority =
      switch target {
      case .tcp: Array(target.description.utf8)
      case .unix, .inProcess: Array("localhost".utf8)
      }
    subchannels = [Subchannel(address: target, channel: self)]
  }

  // MARK: Calls

  func submit(_ attempt: ClientAttempt) {
    if let deadline = attempt.deadline {
      guard deadline > .now() else { return attempt.failed(.deadlinePassed, sent: false) }
      deadlines.include(deadline)
    }
    if waiting.isEmpty, open(attempt) { return }
    guard !isShutDown else { return attempt.failed(.clientShutDown, sent: false) }
    switch subchannels[0].state {
    case .ready, .connecting:
      wait(attempt)
    case .idle:
      wait(attempt)
      subchannels[0].connect()
    case .transientFailure(let error):
      attempt.failed(error, sent: false)
    }
  }

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

  private func open(_ attempt: ClientAttempt) -> Bool {
    let subchannel = subchannels[0]
    guard let connection = subchannel.connectionWithRoom else { return false }
    guard let stream = connection.http2?.open(attempt.headers(authority: authority), delegate: attempt) else {
      subchannel.usedUp(connection)
      return false
    }
    attempt.opened(stream, on: subchannel)
    return true
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
    for subchannel in subchannels {
      subchannel.forEachDelegate { ($0 as? ClientAttempt).map(check) }
    }
    for attempt in due { attempt.expire() }
    waiting.removeAll(where: \.isFinished)
    return next
  }

  // MARK: From the subchannels

  /// A connection may take another stream: one has closed, or the peer allows more.
  func roomMade() {
    while let attempt = waiting.first {
      guard attempt.isFinished || open(attempt) else { return }
      waiting.removeFirst()
    }
  }

  func changed(_ subchannel: Subchannel) {
    switch subchannel.state {
    case .ready:
      roomMade()
    case .transientFailure(let error):
      let attempts = waiting
      waiting.removeAll()
      for attempt in attempts { attempt.failed(error, sent: false) }
    case .idle:
      subchannel.connect()
    case .connecting:
      break
    }
  }

  /// Lets the calls under way finish and takes no others; returns the channels that are still to close.
  func shutDown() -> [any Channel] {
    isShutDown = true
    let attempts = waiting
    waiting.removeAll()
    for attempt in attempts { attempt.failed(.clientShutDown, sent: false) }
    return subchannels.flatMap { $0.shutDown() }
  }
}

extension RPCError {
  static let deadlinePassed = RPCError(.deadlineExceeded, "the deadline has passed")
  static let clientShutDown = RPCError(.unavailable, "the client has shut down")
}
