import Logging
import NIOCore
import NIOHTTP1

/// What all connections of the HTTP server share: how requests are answered, and what they may use.
final class HTTPCore: Sendable {
  let limits: HTTPLimits
  let date = HTTPDate()
  let cors: CORS
  let compressors: Compressors
  /// Bytes of bodies that are kept, in and out, for all clients together.
  let held: ByteBudget
  /// Looks at a request's head, and at who sent it, and says how it is to be answered.
  let receive: @Sendable (HTTPRequestHead, _ peer: SocketAddress?) -> Reception
  /// The answer to a request that never became one: no route, no id, only a status and a code.
  let refuse: @Sendable (HTTPRefusal) -> Reception
  /// Called once for each request, when its answer is out or has failed.
  let log: @Sendable (HTTPExchange, _ end: NIODeadline) -> Void

  init(
    limits: HTTPLimits, cors: CORS = .none,
    receive: @escaping @Sendable (HTTPRequestHead, _ peer: SocketAddress?) -> Reception,
    refuse: @escaping @Sendable (HTTPRefusal) -> Reception,
    log: @escaping @Sendable (HTTPExchange, _ end: NIODeadline) -> Void
  ) {
    self.limits = limits
    self.cors = cors
    self.receive = receive
    self.refuse = refuse
    self.log = log
    held = ByteBudget(limits.heldBytes)
    compressors = Compressors(limit: limits.compressions)
  }
}
