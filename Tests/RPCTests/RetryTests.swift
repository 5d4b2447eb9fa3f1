import HTTP2
import NIOCore
import Testing

@testable import RPC

/// Pauses of minutes or an hour stand for pauses that do not end: a test that had to wait for one would fail by its time limit.
@Suite("A call that is attempted again", .timeLimit(.minutes(1))) struct RetryTests {
  static let soon = AttemptPolicy.retry(RetryPolicy(maxAttempts: 3, initialBackoff: .milliseconds(1)))
  static let late = AttemptPolicy.retry(RetryPolicy(maxAttempts: 3, initialBackoff: .seconds(3600)))
  static let minutes = "300000"

  private func options(_ attempts: AttemptPolicy, deadline: NIODeadline? = nil) -> CallOptions {
    CallOptions(deadline: deadline, policy: CallPolicy(attempts: attempts))
  }

  private func failure(_ number: Int) -> ScriptedServer.Act {
    .fail(RPCError(.unavailable, "failure \(number)"))
  }

  @Test("succeeds with the attempt that does, and tells the server how many there were")
  func succeeds() async throws {
    try await ScriptedServer.run(failure(1), failure(2), .echo) { server, address in
      try await withClient(address) { client in
        let request = ByteBuffer(string: "hello")
        let answer = try await client.unary(path: "/a/B", request: request, options: options(Self.soon))
        #expect(answer.message == request)
        #expect(server.attempts == ["", "1", "2"])
      }
    }
  }

  @Test("fails as the last attempt did")
  func fails() async throws {
    try await ScriptedServer.run(failure(1), failure(2), failure(3)) { server, address in
      try await withClient(address) { client in
        let error = await status {
          try await client.unary(path: "/a/B", request: ByteBuffer(), options: options(Self.soon))
        }
        #expect(error == RPCError(.unavailable, "failure 3"))
        #expect(server.attempts.count == 3)
      }
    }
  }

  @Test("is committed to the attempt whose response headers came")
  func commitment() async throws {
    try await ScriptedServer.run(.failLate(RPCError(.unavailable, "late")), .echo) { server, address in
      try await withClient(address) { client in
        let error = await status {
          try await client.unary(path: "/a/B", request: ByteBuffer(), options: options(Self.soon))
        }
        #expect(error == RPCError(.unavailable, "late"))
        #expect(server.attempts.count == 1)
      }
    }
  }

  @Test("is not when the server says so, and is when it says")
  func pushback() async throws {
    let error = RPCError(.unavailable, "busy")
    try await ScriptedServer.run(
      .fail(error, pushback: "-1"), .fail(error, pushback: "0"), .echo
    ) { server, address in
      try await withClient(address) { client in
        let refused = await status {
          try await client.unary(path: "/a/B", request: ByteBuffer(), options: options(Self.soon))
        }
        #expect(refused == error)
        #expect(server.attempts.count == 1)
        // The pause of its own would not end.
        _ = try await client.unary(path: "/a/B", request: ByteBuffer(), options: options(Self.late))
        #expect(server.attempts == ["", "", "1"])
      }
    }
  }

  @Test("may be cancelled in the pause between two attempts")
  func cancellation() async throws {
    let first = ScriptedServer.Act.fail(RPCError(.unavailable, "busy"), pushback: Self.minutes)
    try await ScriptedServer.run(first, .echo) { server, address in
      try await withClient(address) { client in
        let call = Task {
          try await client.unary(path: "/a/B", request: ByteBuffer(), options: options(Self.soon))
        }
        while server.attempts.isEmpty { await Task.yield() }
        // What the server sent before its answer to this has arrived.
        _ = try await client.unary(path: "/a/B", request: ByteBuffer())
        call.cancel()
        let error = await status { try await call.value }
        #expect(error == .cancelledByCaller)
        #expect(server.attempts.count == 2)
      }
    }
  }

  @Test("does not begin a pause that would outlast its deadline: it fails with what it knows")
  func deadline() async throws {
    let first = ScriptedServer.Act.fail(RPCError(.unavailable, "busy"), pushback: Self.minutes)
    try await ScriptedServer.run(first, .echo) { server, address in
      try await withClient(address) { client in
        let error = await status {
          try await client.unary(
            path: "/a/B", request: ByteBuffer(), options: options(Self.soon, deadline: .now() + .minutes(4)))
        }
        #expect(error == RPCError(.unavailable, "busy"))
        #expect(server.attempts.count == 1)
      }
    }
  }

  @Test("is not once the client's calls mostly fail")
  func throttle() async throws {
    var configuration = RPCClient.Configuration()
    configuration.retries.tokens = 4
    try await ScriptedServer.run(failure(0)) { server, address in
      try await withClient(address, configuration: configuration) { client in
        for _ in 0..<2 {
          let error = await status {
            try await client.unary(path: "/a/B", request: ByteBuffer(), options: options(Self.soon))
          }
          #expect(error == RPCError(.unavailable, "failure 0"))
        }
        // The first failure leaves three of four tokens, the second two: too few for a third attempt or another call's
        // second.
        #expect(server.attempts == ["", "1", ""])
      }
    }
  }

  @Test(
    "is so at once, and once, where the server did not look at it, whatever it asks for", arguments: 0...2)
  func refused(times: Int) async throws {
    try await ScriptedServer.run(script: { $0 < times ? .refuse : .echo }) { server, address in
      try await withClient(address) { client in
        let error = await status { try await client.unary(path: "/a/B", request: ByteBuffer(string: "x")) }
        #expect(error?.code == (times < 2 ? nil : .unavailable))
        #expect(server.attempts == Array(repeating: "", count: min(times + 1, 2)))
      }
    }
  }

  @Test("goes to another connection where the server's GOAWAY does not count it, streaming or not")
  func goAway() async throws {
    try await ScriptedServer.run(script: { $0.isMultiple(of: 2) ? .goAway : .echo }) { server, address in
      try await withClient(address) { client in
        // The first connection has carried nothing when it ends, and the next is made after a pause.
        let patient = CallOptions(policy: CallPolicy(readiness: .wait(atMost: nil)))
        let request = ByteBuffer(string: "x")
        let answer = try await client.unary(path: "/a/B", request: request, options: patient)
        #expect(answer.message == request)
        let echoed = try await client.stream(path: "/a/B", options: patient) { writer in
          for _ in 0..<3 { try await writer.write(request) }
        } responses: { responses in
          try await responses.reduce(into: 0) { count, _ in count += 1 }
        }
        #expect(echoed == 3)
        #expect(server.attempts.count == 4)
      }
    }
  }

  @Test("is sent all that its writer had written")
  func replay() async throws {
    try await ScriptedServer.run(
      .failOnData(RPCError(.unavailable, "once")), .echo
    ) { server, address in
      try await withClient(address) { client in
        let sizes = [3, 0, 1000, 7]
        let echoed = try await client.stream(path: "/a/B", options: options(Self.soon)) { writer in
          for size in sizes { try await writer.write(ByteBuffer(repeating: 1, count: size)) }
        } responses: { responses in
          try await responses.reduce(into: []) { $0.append($1.readableBytes) }
        }
        #expect(echoed == sizes)
        #expect(server.attempts == ["", "1"])
      }
    }
  }

  @Test("is not when more was written than is kept", arguments: [true, false])
  func replayLimit(ofAll: Bool) async throws {
    var configuration = RPCClient.Configuration()
    if ofAll {
      configuration.retries.maxReplayBytesOfAll = 10
    } else {
      configuration.retries.maxReplayBytes = 10
    }
    try await ScriptedServer.run(.failOnData(RPCError(.unavailable, "once")), .echo) { server, address in
      try await withClient(address, configuration: configuration) { client in
        let error = await status {
          try await client.stream(path: "/a/B", options: options(Self.soon)) { writer in
            try await writer.write(ByteBuffer(repeating: 1, count: 11))
          } responses: { responses in
            for try await _ in responses {}
          }
        }
        #expect(error == RPCError(.unavailable, "once"))
        #expect(server.attempts == [""])
      }
    }
  }

  @Test("is not when more messages were written than are kept, however small they are")
  func smallMessages() async throws {
    try await ScriptedServer.run(.silence) { _, address in
      var configuration = RPCClient.Configuration()
      configuration.retries.maxReplayBytes = 10 * OutboundQueue.pieceBytes
      let channel = LoopChannel(
        target: RPCTarget(address), resolution: nil, configuration: configuration,
        eventLoop: loops.client.any(), logger: .quiet)
      let call = ClientCall.once(on: channel, path: "/a/B")
      try await call.open()
      for count in 1...11 {
        try await call.writeMessage(ByteBuffer(), compressed: false)
        let isCommitted = try await channel.eventLoop.submit { call.plan.isCommitted }.get()
        #expect(isCommitted == (count > 10))
      }
      call.cancel()
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }

  @Test("waits for its response headers although it is committed before they are here")
  func headersAfterCommitment() async throws {
    let go = Signal()
    let late = MethodDefinition.streaming("Late") { _, responses, context in
      await go.wait()
      context.setInitialMetadata("a", "1")
      try await responses.write(ByteBuffer())
    }
    try await withServer([late]) { address in
      var configuration = RPCClient.Configuration()
      configuration.retries.maxReplayBytes = 10
      let channel = LoopChannel(
        target: RPCTarget(address), resolution: nil, configuration: configuration,
        eventLoop: loops.client.any(), logger: .quiet)
      let call = ClientCall.once(on: channel, path: "/test.Service/Late")
      try await call.open()
      try await call.writeMessage(ByteBuffer(repeating: 1, count: 11), compressed: false)
      let isDone = Count()
      let metadata = Task {
        defer { isDone.add(1) }
        return try await call.initialMetadata()
      }
      while try await channel.eventLoop.submit({ isDone.value == 0 && call.headers.isEmpty }).get() {
        await Task.yield()
      }
      await go.raise()
      #expect(try await metadata.value["a"] == "1")
      call.cancel()
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }

  /// How a streaming call that keeps its requests may end.
  enum Outcome: CaseIterable {
    case answered, answeredAtLast, failed, cancelled, late, givenUp, tooMuch
  }

  @Test("gives back what it kept, however it ends", arguments: Outcome.allCases)
  func budget(outcome: Outcome) async throws {
    let busy = RPCError(.unavailable, "busy")
    let acts: [ScriptedServer.Act] =
      switch outcome {
      case .answered, .tooMuch: [.echo]
      case .answeredAtLast: [.failOnData(busy), .refuse, .echo]
      case .failed: [.failOnData(busy)]
      case .cancelled, .late, .givenUp: [.silence]
      }
    var configuration = RPCClient.Configuration()
    if outcome == .tooMuch { configuration.retries.maxReplayBytes = 10 }
    try await ScriptedServer.run(script: { acts[min($0, acts.count - 1)] }) { server, address in
      try await withClient(address, configuration: configuration) { client in
        let written = Signal()
        var options = options(Self.soon)
        if outcome == .late { options.deadline = .now() + .milliseconds(50) }
        let call = Task { [options] in
          try await client.stream(path: "/a/B", options: options) { writer in
            try await writer.write(ByteBuffer(repeating: 1, count: 7))
            try await writer.write(ByteBuffer(repeating: 1, count: 7))
            await written.raise()
          } responses: { responses in
            if outcome == .givenUp { return await written.wait() }
            for try await _ in responses {}
          }
        }
        if outcome == .cancelled {
          await written.wait()
          #expect(client.settings.replayBudget.used == 2 * (7 + OutboundQueue.pieceBytes))
          call.cancel()
        }
        let expected: StatusCode? =
          switch outcome {
          case .answered, .answeredAtLast, .givenUp, .tooMuch: nil
          case .failed: .unavailable
          case .cancelled: .cancelled
          case .late: .deadlineExceeded
          }
        #expect(await status { try await call.value }?.code == expected)
        // `givenUp` ends behind its caller's back.
        while client.settings.replayBudget.used > 0 { await Task.yield() }
        #expect(client.settings.replayBudget.used == 0)
      }
    }
  }
}
