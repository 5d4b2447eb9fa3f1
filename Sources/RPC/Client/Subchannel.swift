import HTTP2
import Logging
import NIOCore

/// The connection to one address on one event loop: made when its channel wants it, with growing pauses while that
/// fails. Used on its loop only.
///
/// ```
/// idle ──▶ connecting ──▶ ready ──▶ idle …
///   ▲          │
///   │          ▼
///   └── transient failure, for a pause
/// ```
final class Subchannel: @unchecked Sendable {
  enum State {
    case idle
    case connecting
    case ready(ClientConnection)
    case transientFailure
  }

  /// What the server says of itself, when it is asked (gRFC A17).
  enum Health { case unknown, serving, notServing }

  let address: RPCAddress
  private let channel: LoopChannel
  private(set) var state = State.idle
  /// Why there is no connection, since there last was one.
  private(set) var failure: RPCError?
  private(set) var health = Health.serving
  /// What became of the calls made here.
  var outcomes = Outcomes()
  /// Connections that still carry calls or are about to close, and the current one.
  private(set) var connections: [ObjectIdentifier: ClientConnection] = [:]
  /// Pauses in a row, with no connection of use between them.
  private var failures = 0
  /// The last connection was of no use, and the next was made without a pause.
  private var isForgiven = false
  /// It was logged that there is no connection to be had.
  private var isAway = false
  /// A call was answered since there last was a new connection.
  private var hasAnswered = false
  private var retry: Scheduled<Void>?
  private var watch: HealthWatch?
  private var isShutDown = false
  /// As configured, until the server finds it too short.
  private(set) lazy var keepaliveInterval = configuration.http2.keepaliveInterval

  var eventLoop: any EventLoop { channel.eventLoop }
  var configuration: RPCClient.Configuration { channel.configuration }
  var serverName: String? { channel.serverName }

  init(address: RPCAddress, channel: LoopChannel) {
    self.address = address
    self.channel = channel
  }

  // MARK: Calls

  /// The connection, if it is there and its peer allows another stream.
  var connectionWithRoom: ClientConnection? {
    guard case .ready(let connection) = state, let http2 = connection.http2,
      http2.streamCount < http2.peerMaxConcurrentStreams
    else { return nil }
    return connection
  }

  /// The connection has used up its stream numbers, after 2^30 calls, or is about to end. Another takes over.
  func usedUp(_ connection: ClientConnection) {
    connection.http2?.drain()
    retired(connection)
  }

  func streamClosed() {
    channel.roomMade()
  }

  /// The server has answered an attempt made here, one way or another.
  func answered(_ code: StatusCode) {
    hasAnswered = true
    record(code)
  }

  /// An attempt made here has ended.
  func record(_ code: StatusCode) {
    if outcomes.record(code) { channel.failed(self) }
  }

  func forEachDelegate(_ body: (any HTTP2StreamDelegate) -> Void) {
    for connection in connections.values { connection.http2?.forEachDelegate(body) }
  }

  /// Connected, and said to be well.
  var isServing: Bool {
    if case .ready = state { health == .serving } else { false }
  }

  /// No call is under way.
  var isUnused: Bool {
    let watched = watch.flatMap { $0.hasStream ? $0.connection : nil }
    return connections.values.allSatisfy { ($0.http2?.streamCount ?? 0) == ($0 === watched ? 1 : 0) }
  }

  // MARK: Connecting

  /// Has no effect but when idle. The channel wants it, so it is not told.
  func connect() {
    guard case .idle = state, !isShutDown else { return }
    state = .connecting
    channel.metrics?.attempted()
    let connection = ClientConnection(self)
    connections[ObjectIdentifier(connection)] = connection
    connection.connect(to: address).assumeIsolated().whenComplete { result in
      switch result {
      case .success(let channel): connection.connected(channel)
      case .failure(let error): self.failed(connection, plainReason(error))
      }
    }
  }

  /// The server has introduced itself with its SETTINGS: it speaks HTTP/2, and its limits are known.
  func ready(_ connection: ClientConnection) {
    channel.metrics?.opened()
    guard case .connecting = state, !isShutDown else {
      connection.http2?.drain()
      return
    }
    if isAway {
      isAway = false
      channel.logger.info("connected again", metadata: ["address": "\(address)"])
      // It was away and is back, so what its calls failed of may be over.
      outcomes.readmit()
    }
    failure = nil
    hasAnswered = false
    state = .ready(connection)
    if let service = configuration.healthService {
      health = .unknown
      watch = HealthWatch(of: service, on: connection, channel.authority, configuration.backoff) { [self] in
        health = $0
        channel.changed(self)
      }
    }
    channel.changed(self)
  }

  /// A connection attempt has ended without a connection.
  func failed(_ connection: ClientConnection, _ reason: String) {
    forget(connection)
    guard case .connecting = state, !isShutDown else { return }
    backOff(RPCError(.unavailable, "cannot connect to \(address): \(reason)"))
  }

  private func backOff(_ error: RPCError) {
    channel.metrics?.failed()
    // Once, however often it is tried.
    if !isAway { channel.logger.warning("\(error.message)") }
    isAway = true
    failures += 1
    failure = error
    state = .transientFailure
    let pause = configuration.backoff.pause(failures: failures, random: .random(in: -1...1))
    retry = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(pause)) {
      guard case .transientFailure = self.state, !self.isShutDown else { return }
      self.state = .idle
      self.channel.changed(self)
    }
    channel.changed(self)
  }

  /// The connection takes no further calls; those it has may go on.
  func retired(_ connection: ClientConnection) {
    guard case .ready(let current) = state, current === connection, !isShutDown else { return }
    let streams = connection.http2.map { $0.streamCount + $0.lostStreamCount } ?? 0
    let calls = streams - (watch?.hasStream == true ? 1 : 0)
    stopWatch()
    // A server that accepts and then soon lets go, such as a load balancer with nothing behind it, must not be connected
    // to in a tight loop: the calls it never looks at come back at once. The first time is forgiven, since a server
    // that restarts just then must fail none of the calls that follow.
    let wasOfUse = hasAnswered || connection.age >= configuration.backoff.initial
    if !wasOfUse, isForgiven || failures > 0 {
      let reason = connection.http2?.closeReason.map { ": \($0)" } ?? ""
      return backOff(
        RPCError(.unavailable, "\(address) ended the connection before it answered a call\(reason)"))
    }
    isForgiven = !wasOfUse
    failures = 0
    state = .idle
    channel.changed(self, wasInUse: calls > 0)
  }

  /// The server has ended a connection over its pings; the next one has half as many (gRFC A8).
  func pingLess() {
    keepaliveInterval = keepaliveInterval.map { $0 * 2 }
  }

  func closed(_ connection: ClientConnection) {
    channel.metrics?.closed()
    retired(connection)
    forget(connection)
  }

  private func forget(_ connection: ClientConnection) {
    connections[ObjectIdentifier(connection)] = nil
    connection.release()
    if isShutDown, connections.isEmpty { channel.ended(self) }
  }

  private func stopWatch() {
    watch?.stop()
    watch = nil
  }

  /// Lets the calls under way finish and takes no others; returns the channels that are still to close.
  func shutDown() -> [any Channel] {
    isShutDown = true
    state = .idle
    retry?.cancel()
    stopWatch()
    return connections.values.compactMap { connection in
      connection.http2?.drain()
      return connection.channel
    }
  }
}
