import HTTP2
import Logging
import NIOCore
import NIOPosix

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
    case transientFailure(RPCError)
  }

  let address: RPCAddress
  private let channel: LoopChannel
  private(set) var state = State.idle
  /// Connections that still carry calls or are about to close, and the current one.
  private(set) var connections: [ObjectIdentifier: ClientConnection] = [:]
  private var failures = 0
  private var retry: Scheduled<Void>?
  private var isShutDown = false

  var eventLoop: any EventLoop { channel.eventLoop }
  var configuration: RPCClient.Configuration { channel.configuration }

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

  func forEachDelegate(_ body: (any HTTP2StreamDelegate) -> Void) {
    for connection in connections.values { connection.http2?.forEachDelegate(body) }
  }

  // MARK: Connecting

  /// Has no effect but when idle.
  func connect() {
    guard case .idle = state, !isShutDown else { return }
    state = .connecting
    let connection = ClientConnection(self)
    connections[ObjectIdentifier(connection)] = connection
    connection.connect(to: address).assumeIsolated().whenComplete { result in
      switch result {
      case .success(let channel): connection.connected(channel)
      case .failure(let error): self.failed(connection, "\(error)")
      }
    }
    channel.changed(self)
  }

  /// The server has introduced itself with its SETTINGS: it speaks HTTP/2, and its limits are known.
  func ready(_ connection: ClientConnection) {
    guard case .connecting = state, !isShutDown else {
      connection.http2?.drain()
      return
    }
    if failures > 0 { channel.logger.info("connected again", metadata: ["address": "\(address)"]) }
    failures = 0
    state = .ready(connection)
    channel.changed(self)
  }

  /// A connection attempt has ended without a connection.
  func failed(_ connection: ClientConnection, _ reason: String) {
    connections[ObjectIdentifier(connection)] = nil
    connection.release()
    guard case .connecting = state, !isShutDown else { return }
    let error = RPCError(.unavailable, "cannot connect to \(address): \(reason)")
    if failures == 0 { channel.logger.warning("\(error.message)") }
    backOff(error)
  }

  private func backOff(_ error: RPCError) {
    failures += 1
    state = .transientFailure(error)
    let pause = configuration.backoff.pause(failures: failures, random: .random(in: -1...1))
    retry = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(pause)) { self.backOffEnded() }
    channel.changed(self)
  }

  private func backOffEnded() {
    guard case .transientFailure = state, !isShutDown else { return }
    state = .idle
    channel.changed(self)
  }

  /// The connection takes no further calls; those it has may go on.
  func retired(_ connection: ClientConnection) {
    guard case .ready(let current) = state, current === connection, !isShutDown else { return }
    // A server that accepts and soon lets go must not be connected to in a tight loop.
    if connection.age < configuration.backoff.initial {
      backOff(RPCError(.unavailable, "\(address) closed the connection"))
    } else {
      state = .idle
      channel.changed(self)
    }
  }

  func closed(_ connection: ClientConnection) {
    connections[ObjectIdentifier(connection)] = nil
    connection.release()
    retired(connection)
  }

  /// Lets the calls under way finish and takes no others; returns the channels that are still to close.
  func shutDown() -> [any Channel] {
    isShutDown = true
    state = .idle
    retry?.cancel()
    return connections.values.compactMap { connection in
      connection.http2?.drain()
      return connection.channel
    }
  }
}
