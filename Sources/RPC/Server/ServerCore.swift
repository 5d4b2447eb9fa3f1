import Logging
import NIOCore
import Synchronization

/// What all connections of a server share.
final class ServerCore: Sendable {
  let methods: MethodTable
  let configuration: RPCServer.Configuration
  let admit: RPCServer.Admission
  let logger: Logger
  let loops: [ObjectIdentifier: ServerLoop]

  private struct State {
    var connections: [ObjectIdentifier: ServerConnection] = [:]
    var maxConnections: Int
    var isDraining = false
    /// Said once, not at every connection that is turned away.
    var hasWarned = false
    var accepted = 0
    var refused = 0
  }

  private let state: Mutex<State>

  init(
    methods: MethodTable, configuration: RPCServer.Configuration, eventLoopGroup: any EventLoopGroup,
    admit: @escaping RPCServer.Admission, logger: Logger
  ) {
    let eventLoops = Array(eventLoopGroup.makeIterator())
    let budgets = ServerBudgets(configuration, loops: eventLoops.count)
    let loops = eventLoops.map { ServerLoop($0, methods: methods.methods.count, budgets) }
    self.loops = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
    state = Mutex(State(maxConnections: configuration.maxConnections))
    self.methods = methods
    self.configuration = configuration
    self.admit = admit
    self.logger = logger
  }

  /// Makes sure that there are descriptors for as many connections as are taken.
  func fitConnections() {
    let possible = FileDescriptors.fit(connections: configuration.maxConnections, logger: logger)
    state.withLock { $0.maxConnections = possible }
  }

  /// Takes a connection that was just accepted, or closes it. On its loop.
  func accepted(_ channel: any Channel) throws {
    guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else {
      preconditionFailure("a channel is not on a loop of its server's group")
    }
    let connection = ServerConnection(self, channel, loop)
    let (isWelcome, isNews, limit) = state.withLock { state in
      guard !state.isDraining, state.connections.count < state.maxConnections else {
        defer { state.hasWarned = true }
        state.refused += 1
        return (false, !state.isDraining && !state.hasWarned, state.maxConnections)
      }
      state.accepted += 1
      state.hasWarned = false
      state.connections[ObjectIdentifier(connection)] = connection
      return (true, false, state.maxConnections)
    }
    guard isWelcome else {
      if isNews {
        logger.warning("connections are refused", metadata: ["limit": "\(limit)"])
      }
      channel.close(promise: nil)
      return
    }
    loop.add(connection)
    // Not sooner: a connection that lingers for its peer to read why it ended is one still.
    channel.closeFuture.whenComplete { _ in
      self.removed(connection)
      connection.release()
    }
    try connection.start()
  }

  /// On its loop.
  private func removed(_ connection: ServerConnection) {
    connection.loop.remove(connection)
    state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
  }

  var connectionCounts: ConnectionStatistics {
    state.withLock { state in
      ConnectionStatistics(open: state.connections.count, accepted: state.accepted, refused: state.refused)
    }
  }

  /// Refuses further connections and returns those there are.
  func beginDraining() -> [ServerConnection] {
    state.withLock { state in
      state.isDraining = true
      return Array(state.connections.values)
    }
  }

  /// The status a thrown error becomes. What is not meant for the caller is logged whole and told nothing.
  func status(for error: any Error, method: String) -> RPCError {
    switch error {
    case let error as RPCError: return error
    case is CancellationError: return RPCError(.cancelled, "the call was cancelled")
    default:
      logger.error(
        "handler failed", metadata: ["method": "\(method)", "error": "\(String(reflecting: error))"])
      return RPCError(.unknown, "an unexpected error occurred")
    }
  }
}
