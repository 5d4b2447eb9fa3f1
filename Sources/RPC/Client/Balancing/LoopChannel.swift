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
  /// Calls that wait for a connection, or for the peer to allow another stream.
  private var waiting = Deque<ClientCall>()
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

  func submit(_ call: ClientCall) {
    if let deadline = call.deadline {
      guard deadline > .now() else { return call.failed(.deadlinePassed, sent: false) }
      deadlines.include(deadline)
    }
    if waiting.isEmpty, open(call) { return }
    guard !isShutDown else { return call.failed(.clientShutDown, sent: false) }
    switch subchannels[0].state {
    case .ready, .connecting:
      wait(call)
    case .idle:
      wait(call)
      subchannels[0].connect()
    case .transientFailure(let error):
      call.failed(error, sent: false)
    }
  }

  private func wait(_ call: ClientCall) {
    if waiting.count >= configuration.maxQueuedCalls {
      // Those that were cancelled meanwhile take nobody's place.
      waiting.removeAll(where: \.isFinished)
    }
    guard waiting.count < configuration.maxQueuedCalls else {
      return call.failed(RPCError(.unavailable, "too many calls wait for a connection"), sent: false)
    }
    waiting.append(call)
  }

  private func open(_ call: ClientCall) -> Bool {
    let subchannel = subchannels[0]
    guard let connection = subchannel.connectionWithRoom else { return false }
    guard let stream = connection.http2?.open(call.headers(authority: authority), delegate: call) else {
      subchannel.usedUp(connection)
      return false
    }
    call.opened(stream, on: subchannel)
    return true
  }

  /// Ends the calls that are due, waiting or under way, and returns the next deadline.
  private func expire(_ now: NIODeadline) -> NIODeadline? {
    var due: [ClientCall] = []
    var next: NIODeadline?
    func check(_ call: ClientCall) {
      guard !call.isFinished, let deadline = call.deadline else { return }
      if deadline <= now { due.append(call) } else { next = min(next ?? deadline, deadline) }
    }
    waiting.forEach(check)
    for subchannel in subchannels {
      subchannel.forEachDelegate { ($0 as? ClientCall).map(check) }
    }
    for call in due { call.end(with: .deadlinePassed) }
    waiting.removeAll(where: \.isFinished)
    return next
  }

  // MARK: From the subchannels

  /// A connection may take another stream: one has closed, or the peer allows more.
  func roomMade() {
    while let call = waiting.first {
      guard call.isFinished || open(call) else { return }
      waiting.removeFirst()
    }
  }

  func changed(_ subchannel: Subchannel) {
    switch subchannel.state {
    case .ready:
      roomMade()
    case .transientFailure(let error):
      let calls = waiting
      waiting.removeAll()
      for call in calls { call.failed(error, sent: false) }
    case .idle:
      subchannel.connect()
    case .connecting:
      break
    }
  }

  /// Lets the calls under way finish and takes no others; returns the channels that are still to close.
  func shutDown() -> [any Channel] {
    isShutDown = true
    let calls = waiting
    waiting.removeAll()
    for call in calls { call.failed(.clientShutDown, sent: false) }
    return subchannels.flatMap { $0.shutDown() }
  }
}

extension RPCError {
  static let deadlinePassed = RPCError(.deadlineExceeded, "the deadline has passed")
  static let clientShutDown = RPCError(.unavailable, "the client has shut down")
}
