import HTTP2
import NIOCore
import Testing

@testable import RPC

@Suite("A call that is hedged", .timeLimit(.minutes(1))) struct HedgingTests {
  private func options(_ maxAttempts: Int, after delay: Duration) -> CallOptions {
    CallOptions(policy: CallPolicy(attempts: .hedge(HedgingPolicy(maxAttempts: maxAttempts, delay: delay))))
  }

  @Test("is answered by the first attempt that is, and the others are cancelled")
  func wins() async throws {
    try await ScriptedServer.run(.silence, .echo) { server, address in
      try await withClient(address) { client in
        let request = ByteBuffer(string: "x")
        let answer = try await client.unary(
          path: "/a/B", request: request, options: options(2, after: .milliseconds(1)))
        #expect(answer.message == request)
        #expect(server.attempts == ["", "1"])
        await server.cancelled.wait()
      }
    }
  }

  @Test("fails as the last attempt did when all fail, each at once followed by the next")
  func allFail() async throws {
    try await ScriptedServer.run(
      .fail(RPCError(.unavailable, "1")), .fail(RPCError(.unavailable, "2")),
      .fail(RPCError(.unavailable, "3"))
    ) { server, address in
      try await withClient(address) { client in
        let error = await status {
          try await client.unary(
            path: "/a/B", request: ByteBuffer(), options: options(3, after: .seconds(3600)))
        }
        #expect(error == RPCError(.unavailable, "3"))
        #expect(server.attempts.count == 3)
      }
    }
  }

  @Test("cancels all of its attempts when its task is cancelled")
  func cancellation() async throws {
    try await ScriptedServer.run(.silence) { server, address in
      try await withClient(address) { client in
        let call = Task {
          try await client.unary(
            path: "/a/B", request: ByteBuffer(), options: options(2, after: .milliseconds(1)))
        }
        while server.attempts.count < 2 { await Task.yield() }
        call.cancel()
        #expect(await status { try await call.value } == .cancelledByCaller)
        await server.cancelled.wait()
      }
    }
  }

  @Test(
    "goes on with the attempt that runs when another has failed, whatever time that would have another pause")
  func pauseBeyondDeadline() async throws {
    let busy = RPCError(.unavailable, "busy")
    try await ScriptedServer.run(.failAtNext(busy, pushback: RetryTests.minutes), .echo) { server, address in
      let channel = channel(to: address)
      var options = options(3, after: .seconds(3600))
      options.deadline = .now() + .minutes(30)
      let request = ByteBuffer(string: "x")
      let call = ClientCall.once(on: channel, path: "/a/B", options)
      let answer = Task { try await call.unary(request) }
      while server.attempts.isEmpty { await Task.yield() }
      try await channel.eventLoop.submit { call.attemptNext() }.get()
      #expect(try await answer.value.message == request)
      #expect(server.attempts == ["", "1"])
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }

  @Test("makes no further attempt once a server has forbidden it")
  func forbidden() async throws {
    let busy = RPCError(.unavailable, "busy")
    try await ScriptedServer.run(.silence, .fail(busy, pushback: "-1")) { server, address in
      let channel = channel(to: address)
      let call = ClientCall.once(on: channel, path: "/a/B", options(3, after: .seconds(3600)))
      let answer = Task { try await call.unary(ByteBuffer()) }
      while server.attempts.isEmpty { await Task.yield() }
      let isThirdToCome = try await channel.eventLoop.submit {
        call.attemptNext()
        return call.next != nil
      }.get()
      #expect(isThirdToCome)
      while try await channel.eventLoop.submit({ call.lastFailure == nil }).get() { await Task.yield() }
      let isStillToCome = try await channel.eventLoop.submit { call.next != nil }.get()
      #expect(!isStillToCome)
      answer.cancel()
      #expect(await status { try await answer.value } == .cancelledByCaller)
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }

  @Test("tells of every server it waited for that it let the deadline pass")
  func deadline() async throws {
    try await ScriptedServer.run(.silence) { server, address in
      let channel = channel(to: address)
      let call = ClientCall.once(on: channel, path: "/a/B", options(2, after: .milliseconds(1)))
      let answer = Task { try await call.unary(ByteBuffer()) }
      while server.attempts.count < 2 { await Task.yield() }
      let failures = try await channel.eventLoop.submit {
        call.expire(because: nil)
        return channel.subchannels.map(\.outcomes.failures)
      }.get()
      #expect(failures == [2])
      #expect(await status { try await answer.value }?.code == .deadlineExceeded)
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }

  @Test("waits no longer for a connection than it may when the attempt that had one has failed")
  func patience() async throws {
    let started = Signal()
    let stuck = MethodDefinition.unary("Stuck") { _, _ in
      await started.raise()
      try await untilCancelled()
      return ByteBuffer()
    }
    let server = try await RunningServer.start(
      [.echo, stuck],
      configure: {
        $0.shutdownGrace = .milliseconds(20)
        $0.http2.maxConcurrentStreams = 1
      })
    let channel = channel(to: server.address)
    // Connected already: to be made, a connection may take longer than this call waits.
    _ = try await ClientCall.once(on: channel, path: "/test.Service/Echo").unary(ByteBuffer())
    var options = options(2, after: .milliseconds(1))
    options.policy.readiness = .wait(atMost: .milliseconds(20))
    let call = ClientCall.once(on: channel, path: "/test.Service/Stuck", options)
    let answer = Task { try await call.unary(ByteBuffer()) }
    await started.wait()
    // The second attempt waits for the first one's place.
    while try await channel.eventLoop.submit({ call.others.isEmpty || call.patience != nil }).get() {
      await Task.yield()
    }
    await server.stop()
    #expect(await status { try await answer.value }?.code == .unavailable)
    _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
  }

  @Test("may end well after its client has shut down, and begins no further attempt")
  func shutdown() async throws {
    let (started, finish) = (Signal(), Signal())
    let held = MethodDefinition.unary("Held") { message, _ in
      await started.raise()
      await finish.wait()
      return message
    }
    try await withServer([held]) { address in
      let channel = channel(to: address)
      let call = ClientCall.once(on: channel, path: "/test.Service/Held", options(2, after: .seconds(3600)))
      let answer = Task { try await call.unary(ByteBuffer()) }
      await started.wait()
      let hasNext = try await channel.eventLoop.submit {
        _ = channel.shutDown()
        return call.next != nil
      }.get()
      #expect(!hasNext)
      await finish.raise()
      _ = try await answer.value
    }
  }

  private func channel(to address: RPCAddress) -> LoopChannel {
    LoopChannel(
      target: RPCTarget(address), resolution: nil, configuration: RPCClient.Configuration(),
      eventLoop: loops.client.any(), logger: .quiet)
  }
}
