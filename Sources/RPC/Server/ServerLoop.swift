import NIOCore

/// What a server keeps for each of its event loops, so that loops need not share it. Used on that loop only, but
/// its counters may be read anywhere.
final class ServerLoop: @unchecked Sendable {
  let eventLoop: any EventLoop
  var allowance: HandlerAllowance
  /// By `ServedMethod.index`; the last is for methods that are not there.
  let methods: [MethodCounters]

  init(_ eventLoop: any EventLoop, methods: Int, handlers: HandlerPool) {
    self.eventLoop = eventLoop
    allowance = HandlerAllowance(handlers)
    self.methods = (0...methods).map { _ in MethodCounters() }
  }

  func counters(of method: ServedMethod?) -> MethodCounters { methods[method?.index ?? methods.count - 1] }
}
