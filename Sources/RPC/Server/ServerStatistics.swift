package import HTTP2
package import NIOCore
import Synchronization

/// What a server has done since it was made.
package struct ServerStatistics: Sendable {
  /// One for each method, and one for all calls of methods that are not there.
  package var methods: [MethodStatistics]
  package var connections: ConnectionStatistics
}

/// What has become of a server's connections.
package struct ConnectionStatistics: Sendable {
  package var open = 0
  package var accepted = 0
  /// Turned away for `maxConnections`, or while shutting down.
  package var refused = 0
  /// Connections that have closed, by why: our sentence for it, or `ended` where there was nothing to say. At most
  /// `maxReasons` of them, for some tell what a peer wrote.
  package var closed: [String: Int] = [:]
  /// The sums over all connections.
  package var counters = ConnectionCounters()

  static let maxReasons = 32
}

/// One live connection.
package struct ConnectionSnapshot: Sendable {
  package let peer: SocketAddress?
  package let age: Duration
  package let openCalls: Int
  package let runningHandlers: Int
  /// Request bytes held for handlers and by them, headers included.
  package let bufferedBytes: Int
  package let isDraining: Bool
  /// Since when no call has been open; nil while one is.
  package let idle: Duration?
  package let counters: ConnectionCounters
}

extension RPCServer {
  /// What has been counted up to now; the result is on `eventLoop`. A loop that is stuck counts with what was known
  /// of its connections before.
  package func statistics(on eventLoop: any EventLoop) -> EventLoopFuture<ServerStatistics> {
    core.ask(on: eventLoop) { $0.updateTotals() }.map { [core] _ in core.statistics }
  }

  /// The live connections, without those of a loop that is stuck; the result is on `eventLoop`.
  package func connections(on eventLoop: any EventLoop) -> EventLoopFuture<[ConnectionSnapshot]> {
    core.ask(on: eventLoop) { loop in loop.connections.values.map(\.snapshot) }.map { $0.flatMap(\.self) }
  }
}

extension ServerCore {
  /// What every loop answers within a second.
  func ask<Answer: Sendable>(
    on eventLoop: any EventLoop, _ question: @escaping @Sendable (ServerLoop) -> Answer
  ) -> EventLoopFuture<[Answer]> {
    let answers = loops.values.map { loop in
      let promise = eventLoop.makePromise(of: Answer?.self)
      // Whichever comes second changes nothing.
      let timeout = eventLoop.scheduleTask(in: .seconds(1)) { promise.succeed(nil) }
      loop.eventLoop.execute {
        promise.succeed(question(loop))
        timeout.cancel()
      }
      return promise.futureResult
    }
    return EventLoopFuture.whenAllSucceed(answers, on: eventLoop).map { $0.compactMap(\.self) }
  }

  var statistics: ServerStatistics {
    var statistics = ServerStatistics(
      methods: (methods.methods.map(\.path) + ["unknown"]).map { MethodStatistics(method: $0) },
      connections: connectionCounts)
    for loop in loops.values {
      for index in loop.methods.indices { loop.methods[index].add(to: &statistics.methods[index]) }
      let totals = loop.totals.withLock { $0 }
      statistics.connections.counters.add(totals.counters)
      statistics.connections.closed.merge(totals.closed, uniquingKeysWith: +)
    }
    return statistics
  }
}

extension ConnectionCounters {
  mutating func add(_ other: ConnectionCounters, since before: ConnectionCounters = ConnectionCounters()) {
    streamsOpened += other.streamsOpened - before.streamsOpened
    bytesReceived += other.bytesReceived - before.bytesReceived
    bytesSent += other.bytesSent - before.bytesSent
    dataBytesSent += other.dataBytesSent - before.dataBytesSent
    idleFrames += other.idleFrames - before.idleFrames
    resetsReceived += other.resetsReceived - before.resetsReceived
    resetsSent += other.resetsSent - before.resetsSent
    pingsReceived += other.pingsReceived - before.pingsReceived
    pingsSent += other.pingsSent - before.pingsSent
  }
}
