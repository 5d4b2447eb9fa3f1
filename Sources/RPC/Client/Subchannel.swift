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
  /// The last connection went while it carried calls: whoever made them will make more.
  private(set) var wasLostInUse = false
  private(set) var health = Health.serving
  /// What became of the calls made here.
  var outcomes = Outcomes()
  /// Connections that still carry calls or are about to close, and the current one.
  private(set) var connections: [ObjectIdentifier: ClientConnection] = [:]
  private var failures = 0
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
    connections.values.allSatisfy { ($0.http2?.streamCount ?? 0) == ($0 === watch?.connection ? 1 : 0) }
  }

  // MARK: Connecting

  /// Has no effect but when idle. The channel wants it, so it is not told.
  func connect() {
    guard case .idle = state, !isShutDown else { return }
    state = .connecting
    wasLostInUse = false
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
    guard case .connecting = state, !isShutDown else {
      connection.http2?.drain()
      return
    }
    if failures > 0 {
      channel.logger.info("connected again", metadata: ["address": "\(address)"])
      // It was away and is back, so what its calls failed of may be over.
      outcomes.readmit()
    }
    failures = 0
    failure = nil
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
    let error = RPCError(.unavailable, "cannot connect to \(address): \(reason)")
    if failures == 0 { channel.logger.warning("\(error.message)") }
    backOff(error)
  }

  private func backOff(_ error: RPCError) {
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
    stopWatch()
    // A server that accepts and soon lets go must not be connected to in a tight loop. Where there were calls, it is
    // they that set the pace, and one that restarts just then must fail none of those that follow.
    if !connection.hasCarriedCalls, connection.age < configuration.backoff.initial {
      backOff(RPCError(.unavailable, "\(address) closed the connection"))
    } else {
      wasLostInUse = (connection.http2?.streamCount ?? 0) > 0
      state = .idle
      channel.changed(self)
    }
  }

  /// The server has ended a connection over its pings; the next one has half as many (gRFC A8).
  func pingLess() {
    keepaliveInterval = keepaliveInterval.map { $0 * 2 }
  }

  func closed(_ connection: ClientConnection) {
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
