import DequeModule
import HTTP2
import Logging
import NIOCore
import NIOPosix

/// The client's connection on one event loop: made when first needed, made again when lost, with growing pauses
/// while that fails. Used on its loop only, except `drain`.
///
/// ```
/// idle ──▶ connecting ──▶ connected ──▶ connecting …
///              │  ▲
///              ▼  │ after a pause
///          backing off
/// ```
final class Subchannel: @unchecked Sendable {
  private enum State {
    case idle
    case connecting
    case connected(ClientConnection)
    case backingOff(RPCError)
    case shutDown
  }

  let eventLoop: any EventLoop
  let configuration: RPCClient.Configuration
  private let target: RPCAddress
  private let authority: [UInt8]
  private let logger: Logger

  private var state = State.idle
  /// Connections that still carry calls or are about to close, and the current one.
  private(set) var connections: [ObjectIdentifier: ClientConnection] = [:]
  /// Calls that wait for the connection, or for the peer to allow another stream.
  private var waiting = Deque<ClientCall>()
  private var failures = 0
  private var retry: Scheduled<Void>?
  private(set) lazy var deadlines = DeadlineTimer(on: eventLoop) { [unowned self] in self.expire($0) }

  init(
    target: RPCAddress, configuration: RPCClient.Configuration, eventLoop: any EventLoop, logger: Logger
  ) {
    self.target = target
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.logger = logger
    authority =
      switch target {
      case .tcp: Array(target.description.utf8)
      case .unix: Array("localhost".utf8)
      }
  }

  // MARK: Calls

  func submit(_ call: ClientCall) {
    if let deadline = call.deadline {
      guard deadline > .now() else { return call.end(with: .deadlinePassed) }
      deadlines.include(deadline)
    }
    switch state {
    case .connected(let connection):
      if waiting.isEmpty, open(call, on: connection) { return }
      wait(call)
    case .connecting:
      wait(call)
    case .idle:
      wait(call)
      connect()
    case .backingOff(let error):
      call.end(with: error)
    case .shutDown:
      call.end(with: RPCError(.unavailable, "the client has shut down"))
    }
  }

  private func wait(_ call: ClientCall) {
    if waiting.count >= configuration.maxQueuedCalls {
      // Those that were cancelled meanwhile take nobody's place.
      waiting.removeAll(where: \.isFinished)
    }
    guard waiting.count < configuration.maxQueuedCalls else {
      return call.end(with: RPCError(.unavailable, "too many calls wait for a connection"))
    }
    waiting.append(call)
  }

  func streamClosed() {
    if !waiting.isEmpty { openWaiting() }
  }

  private func openWaiting() {
    guard case .connected(let connection) = state else { return }
    while let call = waiting.first {
      guard call.isFinished || open(call, on: connection) else { return }
      waiting.removeFirst()
    }
  }

  private func open(_ call: ClientCall, on connection: ClientConnection) -> Bool {
    guard let http2 = connection.http2, http2.streamCount < http2.peerMaxConcurrentStreams else {
      return false
    }
    guard let stream = http2.open(headers(of: call), delegate: call) else {
      // It has used up its stream numbers, after 2^30 calls, or is about to end. Another takes over.
      http2.drain()
      retired(connection)
      return false
    }
    call.opened(stream)
    return true
  }

  private func headers(of call: ClientCall) -> HeaderBlock {
    var block = HeaderBlock.requestStart
    block.add(":path", call.path.utf8)
    block.add(":authority", authority)
    block.add("te", "trailers")
    block.add("content-type", "application/grpc")
    if let deadline = call.deadline {
      block.add("grpc-timeout", TimeoutHeader.format(deadline - .now()).utf8)
    }
    block.add(call.metadata)
    return block
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
    for connection in connections.values {
      connection.http2?.forEachDelegate { ($0 as? ClientCall).map(check) }
    }
    for call in due { call.end(with: .deadlinePassed) }
    waiting.removeAll(where: \.isFinished)
    return next
  }

  // MARK: Connecting

  private func connect() {
    state = .connecting
    let connection = ClientConnection(self)
    connections[ObjectIdentifier(connection)] = connection
    var bootstrap = ClientBootstrap(group: eventLoop)
      .connectTimeout(TimeAmount(configuration.connectTimeout))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(connection.makeHTTP2())
        }
      }
    let connected: EventLoopFuture<any Channel>
    switch target {
    case .tcp(let host, let port):
      bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
      connected = bootstrap.connect(host: host, port: port)
    case .unix(let path):
      connected = bootstrap.connect(unixDomainSocketPath: path)
    }
    connected.assumeIsolated().whenComplete { result in
      switch result {
      case .success(let channel): connection.connected(channel)
      case .failure(let error): self.failed(connection, "\(error)")
      }
    }
  }

  /// The server has introduced itself with its SETTINGS: it speaks HTTP/2, and its limits are known.
  func ready(_ connection: ClientConnection) {
    guard case .connecting = state else {
      connection.http2?.drain()
      return
    }
    if failures > 0 { logger.info("connected again", metadata: ["target": "\(target)"]) }
    failures = 0
    state = .connected(connection)
    openWaiting()
  }

  /// A connection attempt has ended without a connection.
  func failed(_ connection: ClientConnection, _ reason: String) {
    connections[ObjectIdentifier(connection)] = nil
    connection.release()
    guard case .connecting = state else { return }
    let error = RPCError(.unavailable, "cannot connect to \(target): \(reason)")
    if failures == 0 { logger.warning("\(error.message)") }
    backOff(error)
  }

  private func backOff(_ error: RPCError) {
    failures += 1
    state = .backingOff(error)
    let calls = waiting
    waiting.removeAll()
    for call in calls { call.end(with: error) }
    let pause = configuration.backoff.pause(failures: failures, random: .random(in: -1...1))
    retry = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(pause)) {
      guard case .backingOff = self.state else { return }
      self.connect()
    }
  }

  /// The connection takes no further calls; those it has may go on.
  func retired(_ connection: ClientConnection) {
    guard case .connected(let current) = state, current === connection else { return }
    // A server that accepts and soon lets go must not be connected to in a tight loop.
    if connection.age < configuration.backoff.initial {
      backOff(RPCError(.unavailable, "\(target) closed the connection"))
    } else {
      connect()
    }
  }

  func closed(_ connection: ClientConnection) {
    connections[ObjectIdentifier(connection)] = nil
    connection.release()
    retired(connection)
  }

  /// Lets the calls under way finish and takes no others; returns the channels that are still to close.
  func shutDown() -> [any Channel] {
    state = .shutDown
    retry?.cancel()
    let calls = waiting
    waiting.removeAll()
    for call in calls { call.end(with: RPCError(.unavailable, "the client has shut down")) }
    return connections.values.compactMap { connection in
      connection.http2?.drain()
      return connection.channel
    }
  }
}

extension RPCError {
  static let deadlinePassed = RPCError(.deadlineExceeded, "the deadline has passed")
}

extension HeaderBlock {
  static let requestStart: HeaderBlock = [":method": "POST", ":scheme": "http"]
}
