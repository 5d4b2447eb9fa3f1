import Logging
import NIOCore
import Synchronization

/// What all connections of a server share.
final class ServerCore: Sendable {
  let methods: MethodTable
  let configuration: RPCServer.Configuration
  let admit: RPCServer.Admission
  let logger: Logger

  private struct State {
    var connections: [ObjectIdentifier: ServerConnection] = [:]
    var isDraining = false
  }

  private let state = Mutex(State())

  init(
    methods: MethodTable, configuration: RPCServer.Configuration, admit: @escaping RPCServer.Admission,
    logger: Logger
  ) {
    self.methods = methods
    self.configuration = configuration
    self.admit = admit
    self.logger = logger
  }

  /// Takes a connection that was just accepted, or closes it. On its loop.
  func accepted(_ channel: any Channel) throws {
    let connection = ServerConnection(self, channel)
    let isWelcome = state.withLock { state in
      guard !state.isDraining, state.connections.count < configuration.maxConnections else { return false }
      state.connections[ObjectIdentifier(connection)] = connection
      return true
    }
    guard isWelcome else {
      logger.warning("connection refused", metadata: ["limit": "\(configuration.maxConnections)"])
      channel.close(promise: nil)
      return
    }
    channel.closeFuture.whenComplete { _ in
      self.removed(connection)
      connection.release()
    }
    try connection.start()
  }

  func removed(_ connection: ServerConnection) {
    state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
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
