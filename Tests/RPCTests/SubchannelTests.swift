import CNghttp2
import NIOCore
import NIOPosix
import Testing

@testable import HTTP2
@testable import RPC

@Suite("A client's connection on one loop") struct SubchannelTests {
  private func channel(
    to target: RPCAddress, configure: (inout RPCClient.Configuration) -> Void
  ) -> LoopChannel {
    var configuration = RPCClient.Configuration()
    configure(&configuration)
    return LoopChannel(
      target: RPCTarget(target), resolution: nil, configuration: configuration, eventLoop: loops.client.any(),
      logger: .quiet)
  }

  private func call(_ channel: LoopChannel) -> ClientCall {
    ClientCall.once(on: channel, path: "/test.Service/Echo")
  }

  @Test("is replaced when it has used up its stream numbers")
  func streamNumbers() async throws {
    try await withServer([.echo]) { address in
      // No pause would end before the test does.
      let channel = channel(to: address) { $0.backoff.initial = .seconds(3600) }
      _ = try await call(channel).unary(ByteBuffer())
      try await channel.eventLoop.submit {
        for connection in channel.subchannels.flatMap(\.connections.values) {
          #expect(nghttp2_session_set_next_stream_id(connection.http2?.session, .max) == 0)
        }
      }.get()
      // The first gets the last number there is.
      for _ in 0..<3 { _ = try await call(channel).unary(ByteBuffer()) }
      let closing = try await channel.eventLoop.submit {
        channel.shutDown().map(\.closeFuture)
      }.get()
      try await EventLoopFuture.andAllComplete(closing, on: channel.eventLoop).get()
    }
  }

  @Test("lets a cancelled call take nobody's place in the queue")
  func queue() async throws {
    let channel = channel(to: .tcp(host: "127.0.0.1", port: 1)) { $0.maxQueuedCalls = 2 }
    let refused = try await channel.eventLoop.submit {
      // One turn of the loop: nothing connects meanwhile, so all of them wait.
      let attempts = (0..<5).map { _ in ClientAttempt(call(channel)) }
      for attempt in attempts[..<2] {
        channel.submit(attempt)
        attempt.cancel(with: .cancelledByCaller)
      }
      for attempt in attempts[2...] { channel.submit(attempt) }
      let refused = attempts[2...].map(\.isFinished)
      _ = channel.shutDown()
      return refused
    }.get()
    #expect(refused == [false, false, true])
  }
}
