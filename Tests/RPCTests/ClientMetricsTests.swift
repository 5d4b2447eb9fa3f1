import MetricsTestKit
import NIOCore
import Testing

@testable import RPC

@Suite("What a client counts", .timeLimit(.minutes(1))) struct ClientMetricsTests {
  /// A way a call can end, and what its caller sees.
  struct Ending: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: StatusCode
    let act: ScriptedServer.Act
    let call: @Sendable (RPCClient, ClientMethod, ScriptedServer) async throws -> Void

    init(
      _ description: String, _ code: StatusCode, _ act: ScriptedServer.Act,
      _ call: @escaping @Sendable (RPCClient, ClientMethod, ScriptedServer) async throws -> Void = {
        client, method, _ in _ = try await client.unary(method, ByteBuffer(string: "x"))
      }
    ) {
      testDescription = description
      self.code = code
      self.act = act
      self.call = call
    }
  }

  struct Picky: Message {
    static let fullName = "test.Picky"
    init(decoding bytes: ByteBuffer) throws(MessageDecodingError) { throw MessageDecodingError("no") }
    init() {}
    func encode(into buffer: inout ByteBuffer) {}
  }

  struct Own: Error {}

  private static let aborted = RPCError(.aborted, "")

  static let unary: [Ending] = [
    Ending("answered", .ok, .echo),
    Ending("failed", .aborted, .fail(aborted)),
    Ending("failed late", .aborted, .failLate(aborted)),
    Ending("without its answer", .unimplemented, .answer([])),
    Ending("answered twice", .unimplemented, .answer([0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    Ending("answered with what breaks the framing", .internal, .answer([7, 0, 0, 0, 0])),
    Ending("answered with what does not decode", .internal, .echo) { client, method, _ in
      let _: ClientResponse<Picky> = try await client.unary(method, Picky())
    },
    Ending("over the limit of a request", .resourceExhausted, .echo) { client, method, _ in
      _ = try await client.unary(method, ByteBuffer(repeating: 1, count: 101))
    },
    Ending("refused", .unavailable, .refuse),
    Ending("disconnected", .unavailable, .hangUp),
    Ending("refused by an interceptor", .permissionDenied, .echo) { client, method, _ in
      _ = try await client.unary(method, ByteBuffer(), CallOptions(metadata: ["x-refuse": "1"]))
    },
    Ending("failed by an interceptor after its answer", .dataLoss, .echo) { client, method, _ in
      _ = try await client.unary(method, ByteBuffer(), CallOptions(metadata: ["x-lose": "1"]))
    },
    Ending("late", .deadlineExceeded, .silence) { client, method, _ in
      _ = try await client.unary(method, ByteBuffer(), CallOptions(deadline: .now() + .milliseconds(5)))
    },
    Ending("late before it began", .deadlineExceeded, .silence) { client, method, _ in
      _ = try await client.unary(method, ByteBuffer(), CallOptions(deadline: .now() - .seconds(1)))
    },
    Ending("cancelled while it runs", .cancelled, .silence) { client, method, server in
      let call = Task { try await client.unary(method, ByteBuffer()) }
      while server.attempts.isEmpty { await Task.yield() }
      call.cancel()
      _ = try await call.value
    },
    Ending("cancelled before it began", .cancelled, .silence) { client, method, _ in
      let call = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        _ = try await client.unary(method, ByteBuffer())
      }
      try await call.value
    },
  ]

  static let streams: [Ending] = [
    Ending("a stream, answered", .ok, .echo) { client, method, _ in
      try await client.stream(method) {
        try await $0.write(ByteBuffer(string: "x"))
      } responses: { responses in
        for try await _ in responses {}
      }
    },
    Ending("a stream, failed", .aborted, .fail(aborted)) { client, method, _ in
      try await client.stream(method) { _ in
      } responses: { responses in
        for try await _ in responses {}
      }
    },
    Ending("a stream, not read to its end", .ok, .silence) { client, method, _ in
      try await client.stream(method) { _ in
      } responses: { _ in
      }
    },
    Ending("a stream, given up by its reader", .cancelled, .silence) { client, method, _ in
      try await client.stream(method) { _ in
      } responses: { _ in
        throw Own()
      }
    },
    Ending("a stream, given up by its writer", .cancelled, .silence) { client, method, _ in
      try await client.stream(method) { _ in
        throw Own()
      } responses: { responses in
        for try await _ in responses {}
      }
    },
    Ending("a stream, with a request over the limit", .resourceExhausted, .silence) { client, method, _ in
      try await client.stream(method) {
        try await $0.write(ByteBuffer(repeating: 1, count: 101))
      } responses: { responses in
        for try await _ in responses {}
      }
    },
    Ending("a stream, late", .deadlineExceeded, .silence) { client, method, _ in
      try await client.stream(method, CallOptions(deadline: .now() + .milliseconds(5))) { _ in
      } responses: { responses in
        for try await _ in responses {}
      }
    },
    Ending("a stream, cancelled before it began", .cancelled, .silence) { client, method, _ in
      let call = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        try await client.stream(method) { _ in
        } responses: { responses in
          for try await _ in responses {}
        }
      }
      try await call.value
    },
    Ending("a client-streaming call without its answer", .unimplemented, .answer([])) { client, method, _ in
      let _: ClientResponse<Picky> = try await client.clientStreaming(method) {
        (_: RequestWriter<Picky>) in
      }
    },
  ]

  private static let interceptor = ClientInterceptor(
    unary: { call, request, next in
      if call.options.metadata["x-refuse"] != nil { throw RPCError(.permissionDenied, "") }
      let answer = try await next(call, request)
      if call.options.metadata["x-lose"] != nil { throw RPCError(.dataLoss, "") }
      return answer
    })

  private func counts(_ metrics: TestMetrics, _ label: String, _ dimension: String) -> [String: Int64] {
    metrics.counters(label: label).reduce(into: [:]) { counts, counter in
      guard let value = counter.dimensions.first(where: { $0.0 == dimension })?.1 else { return }
      if counter.totalValue > 0 { counts[value, default: 0] += counter.totalValue }
    }
  }

  @Test(
    "is each call once, by what its caller saw, and none is in flight for ever", arguments: unary + streams)
  func endings(ending: Ending) async throws {
    let metrics = TestMetrics()
    var configuration = RPCClient.Configuration()
    configuration.metrics = metrics
    configuration.interceptors = [Self.interceptor]
    configuration.policies.general.maxRequestBytes = 100
    try await ScriptedServer.run(ending.act) { server, address in
      try await withClient(address, configuration: configuration) { client in
        let code: StatusCode
        do {
          try await ending.call(client, client.method("/a/B"), server)
          code = .ok
        } catch {
          code = (error as? RPCError)?.code ?? .cancelled
        }
        #expect(code == ending.code)
      }
    }
    #expect(counts(metrics, "rpc_client_requests_total", "code") == [ending.code.name: 1])
    #expect(try metrics.expectMeter("rpc_client_in_flight", [("method", "/a/B")]).values == [1, 0])
    #expect(try metrics.expectTimer("rpc_client_duration_seconds", [("method", "/a/B")]).values.count == 1)
  }

  @Test("is a call that the client's end cuts off, between attempts or waiting for a connection")
  func shutdown() async throws {
    let metrics = TestMetrics()
    var configuration = RPCClient.Configuration()
    configuration.metrics = metrics
    let busy = ScriptedServer.Act.fail(RPCError(.unavailable, "busy"), pushback: RetryTests.minutes)
    try await ScriptedServer.run(busy, .echo) { server, address in
      let calls = try await withClient(address, configuration: configuration) { client in
        let pausing = Task {
          try await client.unary(
            client.method("/a/B"), ByteBuffer(), CallOptions(policy: CallPolicy(attempts: RetryTests.soon)))
        }
        while server.attempts.isEmpty { await Task.yield() }
        // What the server sent before its answer to this has arrived.
        _ = try await client.unary(client.method("/a/B"), ByteBuffer())
        return (client, pausing)
      }
      #expect(await status { try await calls.1.value } == .clientShutDown)
      // And so is one made after it, which no policy makes again.
      let late = await status {
        try await calls.0.unary(
          calls.0.method("/a/B"), ByteBuffer(), CallOptions(policy: CallPolicy(attempts: RetryTests.soon)))
      }
      #expect(late == .clientShutDown)
      #expect(server.attempts.count == 2)
    }
    #expect(counts(metrics, "rpc_client_requests_total", "code") == ["OK": 1, "UNAVAILABLE": 2])
    #expect(counts(metrics, "rpc_client_further_attempts_total", "reason") == [:])
    #expect(try metrics.expectMeter("rpc_client_in_flight", [("method", "/a/B")]).lastValue == 0)
  }

  @Test(
    "is each further attempt once, with its reason",
    arguments: [
      (
        AttemptPolicy.retry(RetryPolicy(maxAttempts: 3, initialBackoff: .milliseconds(1))),
        [
          ScriptedServer.Act.fail(RPCError(.unavailable, "")), .refuse, .fail(RPCError(.unavailable, "")),
          .echo,
        ],
        ["retry": Int64(2), "transparent": 1]
      ),
      (
        .hedge(HedgingPolicy(maxAttempts: 3, delay: .seconds(3600))),
        [.fail(RPCError(.unavailable, "")), .echo], ["hedge": 1]
      ),
      (.once, [.refuse, .echo], ["transparent": 1]), (.once, [.echo], [:]),
    ])
  func attempts(policy: AttemptPolicy, acts: [ScriptedServer.Act], expected: [String: Int64]) async throws {
    let metrics = TestMetrics()
    var configuration = RPCClient.Configuration()
    configuration.metrics = metrics
    configuration.policies.general.attempts = policy
    try await ScriptedServer.run(script: { acts[min($0, acts.count - 1)] }) { _, address in
      try await withClient(address, configuration: configuration) { client in
        _ = try await client.unary(client.method("/a/B"), ByteBuffer(string: "x"))
      }
    }
    #expect(counts(metrics, "rpc_client_further_attempts_total", "reason") == expected)
    #expect(counts(metrics, "rpc_client_requests_total", "code") == ["OK": 1])
  }
}
