import HTTP2
import NIOCore
import Synchronization

/// What a server keeps for each of its event loops, so that loops need not share it. Used on that loop only, but
/// what it counts may be read anywhere.
final class ServerLoop: @unchecked Sendable {
  let eventLoop: any EventLoop
  let batch = WriteBatch()
  /// Handlers, lasting calls and bytes it may give to calls.
  var handlers: LoopBudget
  var lastingCalls: LoopBudget
  var bytes: LoopBudget
  /// Bytes of responses it may keep for peers that do not take them.
  var queued: LoopBudget
  /// What messages have been inflated to since the loop last looked at its sockets, or a little before.
  private var inflatedBytes = 0
  private var pauseEnd: Scheduled<Void>?
  var isPausing: Bool { pauseEnd != nil }
  private var paused: [ServerConnection] = []
  private(set) var connections: [ObjectIdentifier: ServerConnection] = [:]
  /// By `ServedMethod.index`; the last is for methods that are not there.
  let methods: [MethodCounters]
  /// Of the loop's connections, closed ones and live ones; of the latter what they had done when last asked.
  let totals = Mutex(Totals())

  struct Totals: Sendable {
    var closed: [String: Int] = [:]
    var counters = ConnectionCounters()
  }

  init(_ eventLoop: any EventLoop, methods: Int, _ budgets: ServerBudgets) {
    self.eventLoop = eventLoop
    handlers = LoopBudget(budgets.handlers)
    lastingCalls = LoopBudget(budgets.lastingCalls)
    bytes = LoopBudget(budgets.bytes)
    queued = LoopBudget(budgets.queued)
    self.methods = (0...methods).map { _ in MethodCounters() }
  }

  /// A read of 64 KiB may hold messages that inflate to a thousand times as much. Others have their turn after each
  /// such lot.
  private static let inflatedBytesPerTurn = 1 << 20
  /// Long enough for more than a hundred calls of others, one after the other: what is inflated holds up fewer than one
  /// in a hundred of them.
  private static let pause = TimeAmount.milliseconds(6)

  func inflated(_ count: Int) {
    inflatedBytes += count
    if inflatedBytes >= Self.inflatedBytesPerTurn, !isPausing { startPause() }
  }

  /// Begins the pause, or does so anew when what led to it has been done.
  func startPause() {
    pauseEnd?.cancel()
    pauseEnd = eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
      self.pauseEnd = nil
      self.inflatedBytes = 0
      let connections = self.paused
      self.paused = []
      for (index, connection) in connections.enumerated() {
        // Whoever has had a turn is behind those who have not.
        if self.isPausing { return self.paused.insert(contentsOf: connections[index...], at: 0) }
        connection.goOn()
      }
    }
  }

  /// The connection has calls with something to inflate, for when the pause is over.
  func pause(_ connection: ServerConnection) {
    paused.append(connection)
  }

  func counters(of method: ServedMethod?) -> MethodCounters { methods[method?.index ?? methods.count - 1] }

  func add(_ connection: ServerConnection) {
    connections[ObjectIdentifier(connection)] = connection
  }

  func remove(_ connection: ServerConnection) {
    guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
    let reason = connection.closeReason
    totals.withLock { totals in
      connection.addNews(to: &totals.counters)
      let isKnown = totals.closed[reason] != nil || totals.closed.count < ConnectionStatistics.maxReasons
      totals.closed[isKnown ? reason : "other", default: 0] += 1
    }
  }

  func updateTotals() {
    totals.withLock { totals in
      for connection in connections.values { connection.addNews(to: &totals.counters) }
    }
  }
}

/// What all loops of a server share.
struct ServerBudgets {
  let handlers: ServerBudget
  let lastingCalls: ServerBudget
  let bytes: ServerBudget
  let queued: ServerBudget

  init(_ configuration: RPCServer.Configuration, loops: Int) {
    handlers = ServerBudget(limit: configuration.maxRunningHandlersPerServer, loops: loops, maxBatch: 64)
    lastingCalls = ServerBudget(limit: configuration.maxLastingCallsPerServer, loops: loops, maxBatch: 16)
    bytes = ServerBudget(limit: configuration.maxBufferedBytesPerServer, loops: loops, maxBatch: 1 << 20)
    queued = ServerBudget(limit: configuration.maxQueuedBytesPerServer, loops: loops, maxBatch: 1 << 20)
  }
}
