import NIOCore
import RPC
import Synchronization

/// The RPC server of the program, once it has one, as the admin port sees it.
package final class ServedRPC: Sendable {
  private let server = Mutex<RPCServer?>(nil)

  init() {}

  func serve(_ server: RPCServer) {
    self.server.withLock { current in
      precondition(current == nil, "a program has one RPC server")
      current = server
    }
  }

  /// What `/metrics` says of it.
  func metrics(on eventLoop: any EventLoop) -> EventLoopFuture<String> {
    guard let server = server.withLock({ $0 }) else { return eventLoop.makeSucceededFuture("") }
    return server.statistics(on: eventLoop).map { $0.exposition() }
  }

  /// What `/connections` shows.
  func connections(on eventLoop: any EventLoop) -> EventLoopFuture<String> {
    guard let server = server.withLock({ $0 }) else { return eventLoop.makeSucceededFuture("[]\n") }
    return server.connections(on: eventLoop).map(\.json)
  }
}
