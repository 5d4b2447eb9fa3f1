import CNghttp2
import NIOCore
import NIOPosix
import Testing

@testable import HTTP2
@testable import RPC

@Suite("A client's connection on one loop") struct SubchannelTests {
  private func subchannel(
    to target: RPCAddress, configure: (inout RPCClient.Configuration) -> Void
  ) -> Subchannel {
    var configuration = RPCClient.Configuration()
    configure(&configuration)
    return Subchannel(
      target: target, configuration: configuration, eventLoop: loops.client.any(), logger: .quiet)
  }

  private func call(_ subchannel: Subchannel) -> ClientCall {
    ClientCall(subchannel, path: "/test.Service/Echo", metadata: [:], deadline: nil)
  }

  @Test("is replaced when it has used up its stream numbers")
  func streamNumbers() async throws {
    try await withServer([.echo]) { address in
      let subchannel = subchannel(to: address) { $0.backoff.initial = .zero }
      _ = try await call(subchannel).unary(ByteBuffer())
      try await subchannel.eventLoop.submit {
        for connection in subchannel.connections.values {
          #expect(nghttp2_session_set_next_stream_id(connection.http2?.session, .max) == 0)
        }
      }.get()
      // The first gets the last number there is.
      for _ in 0..<3 { _ = try await call(subchannel).unary(ByteBuffer()) }
      let closing = try await subchannel.eventLoop.submit {
        subchannel.shutDown().map(\.closeFuture)
      }.get()
      try await EventLoopFuture.andAllComplete(closing, on: subchannel.eventLoop).get()
    }
  }

  @Test("lets a cancelled call take nobody's place in the queue")
  func queue() async throws {
    let subchannel = subchannel(to: .tcp(host: "127.0.0.1", port: 1)) { $0.maxQueuedCalls = 2 }
    let refused = try await subchannel.eventLoop.submit {
      // One turn of the loop: nothing connects meanwhile, so all of them wait.
      let cancelled = [call(subchannel), call(subchannel)]
      for call in cancelled {
        subchannel.submit(call)
        call.cancel()
      }
      let calls = [call(subchannel), call(subchannel), call(subchannel)]
      for call in calls { subchannel.submit(call) }
      let refused = calls.map(\.isFinished)
      _ = subchannel.shutDown()
      return refused
    }.get()
    #expect(refused == [false, false, true])
  }
}
