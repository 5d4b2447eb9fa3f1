import NIOCore
import Synchronization
import Testing

@testable import RPC

@Suite("A call without a connection", .timeLimit(.minutes(1))) struct ReadinessTests {
  @Test("waits for one if it is told to")
  func waits() async throws {
    let meeting = InProcessListener()
    try await withClient(.inProcess(meeting)) { client in
      // Makes it known that there is no server.
      _ = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
      let options = CallOptions(policy: CallPolicy(readiness: .wait(atMost: nil)))
      async let answer = client.unary(path: "/test.Service/Echo", request: ByteBuffer(), options: options)
      let server = try await RunningServer.start([.echo], configure: { $0.address = .inProcess(meeting) })
      _ = try await answer
      await server.stop()
    }
  }

  @Test("leaves nothing behind in the queue when it is cancelled")
  func cancelled() async throws {
    try await withClient(.inProcess(InProcessListener())) { client in
      let options = CallOptions(policy: CallPolicy(readiness: .wait(atMost: nil)))
      for _ in 0..<3 {
        let call = Task {
          try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(), options: options)
        }
        await Task.yield()
        call.cancel()
        #expect(await status { try await call.value } == .cancelledByCaller)
        // The next attempt to connect fails what waits, and passes over what no longer does.
        _ = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
      }
    }
  }

  @Test("says why there was none when its time or its patience is over, and not only that it is")
  func reasons() async throws {
    try await withClient(.inProcess(InProcessListener())) { client in
      // Makes it known that there is no server, which takes longer than this patience on a busy machine.
      _ = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
      let impatient = CallOptions(policy: CallPolicy(readiness: .wait(atMost: .milliseconds(5))))
      var error = await status {
        try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(), options: impatient)
      }
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("cannot connect to in process") == true)
      let late = CallOptions(
        policy: CallPolicy(timeout: .milliseconds(5), readiness: .wait(atMost: nil)))
      error = await status {
        try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(), options: late)
      }
      // Not what it waited for in vain, but why.
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("cannot connect to in process") == true)
      #expect(error?.message.hasSuffix("the deadline passed while the call waited for a connection") == true)
    }
  }
}

@Suite("A client's policies") struct ClientPolicyTests {
  @Test("limit the bytes of requests and responses of a method")
  func sizes() async throws {
    var configuration = RPCClient.Configuration()
    configuration.policies.methods["/test.Service/Echo"] = CallPolicy(
      maxRequestBytes: 20, maxResponseBytes: 10)
    try await withLoopback([.echo], client: configuration) { client in
      func echo(_ count: Int) async -> RPCError? {
        await status {
          try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(repeating: 1, count: count))
        }
      }
      #expect(await echo(10) == nil)
      #expect(await echo(11)?.code == .resourceExhausted)
      #expect(await echo(21)?.message == "the request is 21 bytes, over the limit of 20")
    }
  }

  @Test("end a call at the earlier of its deadline and its timeout")
  func timeout() async throws {
    let remaining = MethodDefinition.unary("Remaining") { _, context in
      ByteBuffer(integer: context.remaining?.components.seconds ?? -1)
    }
    var configuration = RPCClient.Configuration()
    configuration.policies.services["test.Service"] = CallPolicy(timeout: .seconds(1000))
    try await withLoopback([remaining], client: configuration) { client in
      func seconds(_ options: CallOptions = CallOptions()) async throws -> Int64 {
        let answer = try await client.unary(
          path: "/test.Service/Remaining", request: ByteBuffer(), options: options)
        return answer.message.getInteger(at: 0) ?? -1
      }
      let (configured, earlier, later) = (
        try await seconds(), try await seconds(CallOptions(deadline: .now() + .seconds(500))),
        try await seconds(CallOptions(deadline: .now() + .hours(1)))
      )
      #expect((900...1000).contains(configured))
      #expect((400...500).contains(earlier))
      #expect((900...1000).contains(later))
    }
  }

  @Test("pass on to the calls of a handler what is left of its deadline, and its trace")
  func nested() async throws {
    let inner = MethodDefinition.unary("Inner") { _, context in
      context.setTrailingMetadata("trace", context.metadata["traceparent"] ?? "none")
      context.setTrailingMetadata("principal", context.metadata["mainstreet-principal"] ?? "none")
      return ByteBuffer(integer: context.remaining?.components.seconds ?? -1)
    }
    try await withLoopback([inner]) { client in
      let context = CallContext(
        method: "/a/B", metadata: ["traceparent": "00-1", "mainstreet-principal": "p"],
        deadline: .now() + .seconds(500), eventLoop: loops.client.any(), peer: nil)
      let answer = try await client.unary(
        path: "/test.Service/Inner", request: ByteBuffer(), options: context.options)
      #expect((400...500).contains(answer.message.getInteger(at: 0, as: Int64.self) ?? -1))
      #expect(answer.trailingMetadata["trace"] == "00-1")
      #expect(answer.trailingMetadata["principal"] == "none")
    }
  }
}

@Suite("The interceptors of a client") struct ClientInterceptorTests {
  @Test("stand around each call, the first outermost, and may change it")
  func order() async throws {
    let log = Mutex<[String]>([])
    func interceptor(_ name: String) -> ClientInterceptor {
      ClientInterceptor(
        unary: { call, request, next in
          var call = call
          call.options.metadata.add("x-by", name)
          log.withLock { $0.append("\(name) \(call.method.path)") }
          let answer = try await next(call, request)
          log.withLock { $0.append("\(name) done") }
          return answer
        },
        stream: { call, next in
          var call = call
          call.options.metadata.add("x-by", name)
          try await next(call)
          log.withLock { $0.append("\(name) done") }
        })
    }
    let by = MethodDefinition.streaming("By") { requests, responses, context in
      for try await _ in requests {}
      let names = context.metadata.compactMap { entry in
        if case .text(let text) = entry.value, entry.name == "x-by" { text } else { nil }
      }
      try await responses.write(ByteBuffer(string: names.joined(separator: " ")))
    }
    var configuration = RPCClient.Configuration()
    configuration.interceptors = [interceptor("a"), interceptor("b")]
    try await withLoopback([by], client: configuration) { client in
      let unary = try await client.unary(path: "/test.Service/By", request: ByteBuffer())
      #expect(String(buffer: unary.message) == "a b")
      #expect(
        log.withLock { $0 } == ["a /test.Service/By", "b /test.Service/By", "b done", "a done"])
      let streamed = try await client.stream(path: "/test.Service/By") { _ in
      } responses: { responses in
        try await responses.single().message
      }
      #expect(String(buffer: streamed) == "a b")
      #expect(log.withLock { $0.suffix(2) } == ["b done", "a done"])
    }
  }

  @Test("may refuse a call, and may make it again")
  func control() async throws {
    var configuration = RPCClient.Configuration()
    configuration.interceptors = [
      ClientInterceptor(
        unary: { call, request, next in
          do {
            return try await next(call, request)
          } catch let error as RPCError where error.code == .unauthenticated {
            return try await next(call, ByteBuffer(string: "with a new token"))
          }
        },
        stream: { _, _ in throw RPCError(.permissionDenied, "no streams") })
    ]
    let method = MethodDefinition.unary("Guarded") { request, _ in
      guard request.readableBytes > 0 else { throw RPCError(.unauthenticated, "stale") }
      return request
    }
    try await withLoopback([method], client: configuration) { client in
      let answer = try await client.unary(path: "/test.Service/Guarded", request: ByteBuffer())
      #expect(String(buffer: answer.message) == "with a new token")
      let error = await status {
        try await client.stream(path: "/test.Service/Guarded") { _ in
        } responses: { _ in
        }
      }
      #expect(error == RPCError(.permissionDenied, "no streams"))
    }
  }
}
