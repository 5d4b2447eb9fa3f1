import NIOCore
import Synchronization

@testable import RPC

/// Calls whose handlers stay until they are let go.
final class HeldCalls: Sendable {
  let release = Signal()
  private let events = AsyncStream<RPCError?>.makeStream()
  private let calls = Mutex<[Task<Void, Never>]>([])

  var method: MethodDefinition {
    .unary("Hold") { [self] message, _ in
      events.continuation.yield(nil)
      await release.wait()
      return message
    }
  }

  /// Makes one call after the other until one is turned away; says how many run, and what the last was told.
  func fill(_ client: RPCClient, metadata: Metadata = [:]) async -> (running: Int, error: RPCError?) {
    var running = 0
    while running < 1000 {
      let call = Task {
        let error = await status {
          try await client.unary(
            path: "/test.Service/Hold", request: ByteBuffer(), options: CallOptions(metadata: metadata))
        }
        if let error { events.continuation.yield(error) }
      }
      calls.withLock { $0.append(call) }
      for await event in events.stream {
        if let event { return (running, event) }
        running += 1
        break
      }
    }
    return (running, nil)
  }

  /// All calls have returned.
  func ended() async {
    for call in calls.withLock({ $0 }) { await call.value }
  }
}
