import CNghttp2
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import HTTP2
@testable import RPC

@Suite("A client's connection on one loop") struct SubchannelTests {
  private func channel(
    to target: RPCAddress, logger: Logger = .quiet, configure: (inout RPCClient.Configuration) -> Void
  ) -> LoopChannel {
    var configuration = RPCClient.Configuration()
    configure(&configuration)
    return LoopChannel(
      target: RPCTarget(target), resolution: nil, configuration: configuration, eventLoop: loops.client.any(),
      logger: logger)
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
    let (refused, error) = try await channel.eventLoop.submit {
      // One turn of the loop: nothing connects meanwhile, so all of them wait.
      let attempts = (0..<5).map { _ in ClientAttempt(call(channel)) }
      for attempt in attempts[..<2] {
        channel.submit(attempt)
        attempt.cancel(with: .cancelledByCaller)
      }
      #expect(channel.waiting.isEmpty)
      for attempt in attempts[2...] { channel.submit(attempt) }
      let refused = attempts[2...].map(\.isFinished)
      _ = channel.shutDown()
      return (refused, attempts[4].state.error)
    }.get()
    #expect(refused == [false, false, true])
    #expect(error == RPCError(.unavailable, "the queue of 2 calls is full: no connection yet"))
  }

  @Test("tells calls that it has no room for that this is why they wait, and why they are refused")
  func saturation() async throws {
    let started = Signal()
    let release = Signal()
    let method = MethodDefinition.unary("Slow") { message, _ in
      await started.raise()
      await release.wait()
      return message
    }
    try await withServer([method], configure: { $0.http2.maxConcurrentStreams = 1 }) { address in
      let channel = channel(to: address) { $0.maxQueuedCalls = 1 }
      async let first = ClientCall.once(on: channel, path: "/test.Service/Slow").unary(ByteBuffer())
      await started.wait()
      let saturated = "every connection has as many calls as its server allows"
      let refusal = try await channel.eventLoop.submit {
        let attempts = (0..<2).map { _ in ClientAttempt(call(channel)) }
        for attempt in attempts { channel.submit(attempt) }
        attempts[0].cancel(with: .cancelledByCaller)
        return attempts[1].state.error
      }.get()
      #expect(refusal == RPCError(.unavailable, "the queue of 1 calls is full: \(saturated)"))
      let late = try await channel.eventLoop.submit {
        let options = CallOptions(deadline: .now() + .milliseconds(100))
        let call = ClientCall.once(on: channel, path: "/test.Service/Slow", options)
        call.begin()
        return call
      }.get()
      let error = await status { try await late.initialMetadata() }
      #expect(
        error == RPCError(.deadlineExceeded, "the deadline has passed; before it did: \(saturated)"))
      await release.raise()
      _ = try await first
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }

  @Test(
    "that ends before it has answered a call is made anew at once, but only once in a row",
    arguments: [false, true])
  func noAnswers(closing: Bool) async throws {
    try await withEmptyBackend(closing: closing) { connections, address in
      var configuration = RPCClient.Configuration()
      configuration.backoff.initial = .seconds(3600)
      try await withClient(address, configuration: configuration) { client in
        // Without a deadline.
        var error: RPCError?
        for _ in 0..<3 {
          error = await status { try await client.unary(path: "/a/B", request: ByteBuffer()) }
          #expect(error?.code == .unavailable)
        }
        #expect(
          error?.message.hasPrefix("\(address) ended the connection before it answered a call") == true)
        #expect(connections.value == 2)
      }
    }
  }

  @Test("that ended before it answered does not silence the outage that follows")
  func outageAfterForgiveness() async throws {
    let log = LogLines()
    try await withEmptyBackend(closing: true, times: 1) { connections, address in
      let channel = channel(to: address, logger: log.logger) { $0.backoff.initial = .seconds(3600) }
      // The first may be lost with its connection.
      var error: RPCError?
      while error?.message.hasPrefix("cannot connect") != true {
        error = await status { try await call(channel).unary(ByteBuffer()) }
      }
      #expect(connections.value == 1)
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
    #expect(log.all.count == 1)
    #expect(log.all.first?.hasPrefix("cannot connect to 127.0.0.1:") == true)
  }

  @Test("was never away if it was made anew at once, so an ejection stands")
  func forgiven() async throws {
    let log = LogLines()
    try await withServer([.echo]) { address in
      let channel = channel(to: address, logger: log.logger) { $0.backoff.initial = .seconds(3600) }
      try await channel.eventLoop.submit { channel.wake() }.get()
      let first = try await connection(of: channel)
      let detection = OutlierDetection()
      try await channel.eventLoop.submit {
        var outcomes = channel.subchannels.map(\.outcomes)
        for _ in 0..<detection.consecutiveFailures { _ = outcomes[0].record(.unavailable) }
        detection.failed(0, of: &outcomes, others: 1, at: .now())
        channel.subchannels[0].outcomes = outcomes[0]
      }.get()
      try await first.close()
      let second = try await connection(of: channel)
      #expect(first !== second)
      #expect(try await channel.eventLoop.submit { channel.subchannels[0].outcomes.isEjected }.get())
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
    #expect(log.all.isEmpty)
  }

  @Test(
    "that is lost is made anew if it carried calls, of which the health watch is none",
    arguments: [false, true])
  func lostInUse(isInUse: Bool) async throws {
    let watch = MethodDefinition.streaming("Watch") { _, responses, _ in
      try await responses.write(ByteBuffer(bytes: [8, 1]))
      try await untilCancelled()
    }
    let hang = MethodDefinition.streaming("Hang") { _, responses, _ in
      try await responses.write(ByteBuffer())
      try await untilCancelled()
    }
    let health = ServiceDefinition(name: "grpc.health.v1.Health", methods: [watch])
    let server = try await RunningServer.start([.echo, hang], and: [health])
    let channel = channel(to: server.address) {
      $0.balancing = .pickFirst(shuffled: false)
      $0.healthService = ""
    }
    _ = try await call(channel).unary(ByteBuffer())
    let hanging = ClientCall.once(on: channel, path: "/test.Service/Hang")
    if isInUse {
      try await channel.eventLoop.submit { hanging.begin() }.get()
      _ = try await hanging.initialMetadata()
    }
    try await connection(of: channel).close()
    let isIdle = try await channel.eventLoop.submit { channel.connectivity == .idle }.get()
    #expect(isIdle == !isInUse)
    _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    await server.stop()
  }

  /// The channel of the only connection, once it is ready.
  private func connection(of channel: LoopChannel) async throws -> any Channel {
    while true {
      let ready = try await channel.eventLoop.submit { () -> (any Channel)? in
        guard case .ready(let connection) = channel.subchannels.first?.state else { return nil }
        return connection.channel
      }.get()
      if let ready, ready.isActive { return ready }
    }
  }

  /// What a load balancer may do with nothing behind it: introduces itself with SETTINGS, and lets go with a GOAWAY that
  /// counts no stream, or by closing.
  ///
  /// - Parameter times: after so many connections it listens no longer.
  private func withEmptyBackend(
    closing: Bool, times: Int = .max, body: (Count, RPCAddress) async throws -> Void
  ) async throws {
    let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
    let goAway: [UInt8] = [0, 0, 8, 7, 0, 0, 0, 0, 0] + Array(repeating: 0, count: 8)
    let connections = Count()
    let listener = try await ServerBootstrap(group: loops.server)
      .childChannelInitializer { channel in
        let isLast = connections.add(1) == times
        let first = ByteBuffer(bytes: closing ? settings : settings + goAway)
        // Not before the channel is active.
        channel.eventLoop.execute {
          if isLast { channel.parent?.close(promise: nil) }
          channel.writeAndFlush(first).whenSuccess { if closing { channel.close(promise: nil) } }
        }
        return channel.eventLoop.makeSucceededVoidFuture()
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let port = listener.localAddress?.port ?? 0
    try await body(connections, .tcp(host: "127.0.0.1", port: port))
    try? await listener.close()
  }

  @Test("tells no call of a failure that is over")
  func staleFailure() async throws {
    let first = try await RunningServer.start([.echo])
    await first.stop()
    let channel = channel(to: first.address) { $0.backoff.initial = .milliseconds(1) }
    let error = await status { try await call(channel).unary(ByteBuffer()) }
    #expect(error?.message.hasPrefix("cannot connect") == true)
    let second = try await RunningServer.start([.echo], configure: { $0.address = first.address })
    while await status({ try await call(channel).unary(ByteBuffer()) }) != nil {}
    let message = try await channel.eventLoop.submit {
      for connection in channel.subchannels.flatMap(\.connections.values) {
        connection.channel?.close(promise: nil)
      }
      return channel.failure.message
    }.get()
    #expect(message == "no connection yet")
    _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    await second.stop()
  }
}
