import NIOCore
import Testing

@testable import RPC

/// Pauses of an hour stand for pauses that do not end: a test that had to wait for one would fail by its time limit.
@Suite("A call that is attempted again", .timeLimit(.minutes(1))) struct RetryTests {
  static let soon = AttemptPolicy.retry(RetryPolicy(maxAttempts: 3, initialBackoff: .milliseconds(1)))
  static let late = AttemptPolicy.retry(RetryPolicy(maxAttempts: 3, initialBackoff: .seconds(3600)))
  static let hour = "3600000"

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
    let first = ScriptedServer.Act.fail(RPCError(.unavailable, "busy"), pushback: Self.hour)
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
    let first = ScriptedServer.Act.fail(RPCError(.unavailable, "busy"), pushback: Self.hour)
    try await ScriptedServer.run(first, .echo) { server, address in
      try await withClient(address) { client in
        let error = await status {
          try await client.unary(
            path: "/a/B", request: ByteBuffer(), options: options(Self.soon, deadline: .now() + .minutes(30)))
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
}

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
}
