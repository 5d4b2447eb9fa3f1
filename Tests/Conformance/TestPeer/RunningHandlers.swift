import NIOCore
import RPC
import Synchronization

/// Tells tests what no peer can see from outside: how many handlers run.
final class RunningHandlers: Sendable {
  private let served = Mutex<RPCServer?>(nil)

  var server: RPCServer? {
    get { served.withLock { $0 } }
    set { served.withLock { $0 = newValue } }
  }

  /// `/testpeer.Handlers/Count` answers the number in digits. It is not among them itself.
  var serviceDefinition: ServiceDefinition {
    let count = MethodDefinition(
      name: "Count", access: .public,
      handler: .unary { [self] _, context in
        let connections = try await server?.connections(on: context.eventLoop).get() ?? []
        return ByteBuffer(string: "\(connections.map(\.runningHandlers).reduce(-1, +))")
      })
    return ServiceDefinition(name: "testpeer.Handlers", methods: [count])
  }
}
