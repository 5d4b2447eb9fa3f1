import HTTP2
import NIOCore
import Testing

@testable import RPC

@Suite("A unary call") struct UnaryCallTests {
  /// What of an error is long.
  enum LongPart: CaseIterable {
    case message, violations, details

    var error: RPCError {
      switch self {
      case .message: RPCError(.notFound, String(repeating: "☃", count: 100_000), reason: "SNOWMAN_MELTED")
      case .violations:
        RPCError(
          .notFound, "m", reason: "SNOWMAN_MELTED",
          violations: (0..<2000).map { FieldViolation(field: "f\($0)", code: "C", message: "no") })
      case .details: RPCError(.notFound, "m", details: ["k": String(repeating: "v", count: 100_000)])
      }
    }
  }

  @Test("brings back what the handler returns", arguments: [0, 1, 118, 16_384, 16_385, 1_000_000, 4_194_304])
  func echo(size: Int) async throws {
    let message = ByteBuffer(repeating: 7, count: size)
    let response = try await withLoopback([.echo]) { client in
      try await client.unary(path: "/test.Service/Echo", request: message)
    }
    #expect(response.message == message)
  }

  @Test("carries metadata both ways, text and binary")
  func metadata() async throws {
    let method = MethodDefinition.unary("Meta") { message, context in
      context.setInitialMetadata("x-initial", context.metadata["x-text"] ?? "")
      context.setTrailingMetadata("x-trailing-bin", context.metadata[binary: "x-bytes-bin"] ?? [])
      return message
    }
    var metadata: Metadata = ["x-text": "hello"]
    metadata.add("x-bytes-bin", [0, 255, 10])
    let response = try await withLoopback([method]) { [metadata] client in
      try await client.unary(
        path: "/test.Service/Meta", request: ByteBuffer(), options: CallOptions(metadata: metadata))
    }
    #expect(response.initialMetadata["x-initial"] == "hello")
    #expect(response.trailingMetadata[binary: "x-trailing-bin"] == [0, 255, 10])
  }

  @Test("brings metadata without the white space around it, and a message with it")
  func whiteSpace() async throws {
    let space = MethodDefinition.unary("Space") { message, context in
      context.setTrailingMetadata("x-back", " \(context.metadata["x-note"] ?? "none") ")
      return message
    }
    let fail = MethodDefinition.unary("Fail") { _, _ in throw RPCError(.notFound, "failed: ") }
    try await withLoopback([space, fail]) { client in
      let answer = try await client.unary(
        path: "/test.Service/Space", request: ByteBuffer(),
        options: CallOptions(metadata: ["x-note": " a b "])
      )
      #expect(answer.trailingMetadata["x-back"] == "a b")
      let error = await status { try await client.unary(path: "/test.Service/Fail", request: ByteBuffer()) }
      #expect(error == RPCError(.notFound, "failed: "))
    }
  }

  @Test("fails with the very error the handler threw")
  func handlerError() async throws {
    let thrown = RPCError(
      .failedPrecondition, "no ☃ at 100% here\n", reason: "SNOWMAN_MELTED",
      violations: [FieldViolation(field: "a.b[0]", code: "TOO_WARM", message: "keep it cold")],
      details: ["temperature": "21", "unit": "°C"], retryAfter: .milliseconds(1500))
    let method = MethodDefinition.unary("Fail") { _, _ in throw thrown }
    let error = try await withLoopback([method]) { client in
      await status { try await client.unary(path: "/test.Service/Fail", request: ByteBuffer()) }
    }
    #expect(error == thrown)
  }

  @Test("hides from the caller what the handler did not mean for it")
  func unexpectedError() async throws {
    struct Secret: Error { let password = "hunter2" }
    let method = MethodDefinition.unary("Fail") { _, _ in throw Secret() }
    let error = try await withLoopback([method]) { client in
      await status { try await client.unary(path: "/test.Service/Fail", request: ByteBuffer()) }
    }
    #expect(error == RPCError(.unknown, "an unexpected error occurred"))
  }

  @Test(
    "to a method that does not exist is UNIMPLEMENTED",
    arguments: ["/test.Service/Nope", "/test.Nope/Echo", "/", "/test.Service/Ech", "/test.Service/Echo/"])
  func unknownMethod(path: String) async throws {
    let error = try await withLoopback([.echo]) { client in
      await status { try await client.unary(path: path, request: ByteBuffer()) }
    }
    #expect(error == RPCError(.unimplemented, "unknown method \(path)"))
  }

  @Test("with a message over the server's limit is RESOURCE_EXHAUSTED")
  func oversizeRequest() async throws {
    let error = try await withLoopback([.echo], configure: { $0.maxMessageBytes = 1000 }) { client in
      await status {
        try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(repeating: 0, count: 1001))
      }
    }
    #expect(error?.code == .resourceExhausted)
  }

  @Test("with a message over the client's limit is RESOURCE_EXHAUSTED")
  func oversizeResponse() async throws {
    var configuration = RPCClient.Configuration()
    configuration.maxMessageBytes = 1000
    let error = try await withLoopback([.echo], client: configuration) { client in
      await status {
        try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(repeating: 0, count: 1001))
      }
    }
    #expect(error?.code == .resourceExhausted)
  }

  @Test("with headers over the limit is RESOURCE_EXHAUSTED, and the connection lives on")
  func oversizeHeaders() async throws {
    var unlimited = RPCClient.Configuration()
    unlimited.http2.maxHeaderListBytes = 1 << 20
    try await withLoopback([.echo], client: unlimited) { client in
      let metadata: Metadata = ["x-long": String(repeating: "x", count: 9000)]
      let error = await status {
        try await client.unary(
          path: "/test.Service/Echo", request: ByteBuffer(), options: CallOptions(metadata: metadata))
      }
      #expect(error?.code == .resourceExhausted)
      _ = try await client.unary(path: "/test.Service/Echo", request: ByteBuffer())
    }
  }

  @Test("is not made with more metadata than a server takes")
  func tooMuchMetadata() async throws {
    try await withLoopback([.echo]) { client in
      let metadata: Metadata = ["a": String(repeating: "x", count: 8160)]
      let error = await status {
        try await client.unary(
          path: "/test.Service/Echo", request: ByteBuffer(), options: CallOptions(metadata: metadata))
      }
      #expect(
        error
          == RPCError(.resourceExhausted, "the request metadata is 8193 bytes, over the limit of 8192"))
    }
  }

  @Test("that is reset when its time is about to be over has run out of time", arguments: [true, false])
  func resetAtDeadline(isDue: Bool) async throws {
    try await ScriptedServer.run(.reset(.cancel)) { _, address in
      try await withClient(address) { client in
        let options = CallOptions(deadline: .now() + (isDue ? .milliseconds(5) : .minutes(1)))
        let error = await status {
          try await client.unary(path: "/a/B", request: ByteBuffer(), options: options)
        }
        #expect(error?.code == (isDue ? .deadlineExceeded : .cancelled))
      }
    }
  }

  @Test("whose deadline passes fails, and its handler is cancelled")
  func deadline() async throws {
    let started = Count()
    let cancelled = Signal()
    let method = MethodDefinition.unary("Wait") { message, context in
      started.add(1)
      #expect(context.remaining != nil)
      do { try await untilCancelled() } catch {
        await cancelled.raise()
        throw error
      }
      return message
    }
    try await withLoopback([method]) { client in
      // On a busy machine a short deadline passes before the handler starts, which is not what is meant here.
      var timeout = TimeAmount.milliseconds(10)
      while started.value == 0 {
        let error = await status {
          try await client.unary(
            path: "/test.Service/Wait", request: ByteBuffer(),
            options: CallOptions(deadline: .now() + timeout))
        }
        #expect(error?.code == .deadlineExceeded)
        timeout = timeout * 2
      }
      await cancelled.wait()
    }
  }

  @Test("whose deadline has passed before it starts is not sent")
  func deadlineBefore() async throws {
    let error = try await withLoopback([.echo]) { client in
      await status {
        try await client.unary(
          path: "/test.Service/Echo", request: ByteBuffer(),
          options: CallOptions(deadline: .now() - .seconds(1)))
      }
    }
    #expect(error?.code == .deadlineExceeded)
  }

  @Test("cancelled by its task is cancelled on the server")
  func cancellation() async throws {
    let started = Signal()
    let cancelled = Signal()
    let method = MethodDefinition.unary("Wait") { message, _ in
      await started.raise()
      do { try await untilCancelled() } catch {
        await cancelled.raise()
        throw error
      }
      return message
    }
    let error = try await withLoopback([method]) { client in
      let call = Task { try await client.unary(path: "/test.Service/Wait", request: ByteBuffer()) }
      await started.wait()
      call.cancel()
      let error = await status { try await call.value }
      await cancelled.wait()
      return error
    }
    #expect(error?.code == .cancelled)
  }

  @Test("is refused before it has sent its message", arguments: ["Echo", "EchoAll"])
  func admission(method: String) async throws {
    let server = try await RunningServer.start(
      [.echo, .echoAll], admit: { _, method in throw RPCError(.permissionDenied, method.name) })
    let error = await status {
      try await withClient(server.address) { client in
        try await client.stream(path: "/test.Service/\(method)") { _ in
          try await untilCancelled()
        } responses: { responses in
          for try await _ in responses {}
        }
      }
    }
    #expect(error == RPCError(.permissionDenied, method))
    await server.stop()
  }

  @Test("whose bytes are more than its connection may make the server hold is RESOURCE_EXHAUSTED")
  func bufferLimit() async throws {
    try await withLoopback([.echo], configure: { $0.maxBufferedBytes = 1_000_000 }) { client in
      let sizes = [900_000, 1_100_000, 900_000]
      var codes: [StatusCode?] = []
      for size in sizes {
        let error = await status {
          try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(repeating: 0, count: size))
        }
        codes.append(error?.code)
      }
      #expect(codes == [nil, .resourceExhausted, nil])
    }
  }

  @Test(
    "that fails with more to say than fits in trailers still fails with its code",
    arguments: LongPart.allCases)
  func longError(part: LongPart) async throws {
    let thrown = part.error
    let method = MethodDefinition.unary("Fail") { _, _ in throw thrown }
    let error = try await withLoopback([method]) { client in
      await status { try await client.unary(path: "/test.Service/Fail", request: ByteBuffer()) }
    }
    let received = try #require(error)
    #expect(received.code == .notFound)
    #expect(received.reason == thrown.reason)
    #expect(!received.message.isEmpty && thrown.message.hasPrefix(received.message))
    #expect(received.violations.elementsEqual(thrown.violations.prefix(received.violations.count)))
    #expect(received.violations.isEmpty == thrown.violations.isEmpty)
    #expect(received.message.utf8.count <= RPCError.maxMessageBytes)
  }

  @Test("whose trailers cannot be sent fails, and its connection lives on")
  func longTrailers() async throws {
    let method = MethodDefinition.unary("Long") { message, context in
      context.setTrailingMetadata("x-long", String(repeating: "x", count: message.readableBytes))
      return message
    }
    try await withLoopback([method]) { client in
      // The first is over what a client takes, the second over what nghttp2 sends.
      for size in [40_000, 100_000] {
        let error = await status {
          try await client.unary(path: "/test.Service/Long", request: ByteBuffer(repeating: 0, count: size))
        }
        #expect(error?.code == (size == 40_000 ? .resourceExhausted : .internal))
      }
      _ = try await client.unary(path: "/test.Service/Long", request: ByteBuffer())
    }
  }

  @Test("whose headers cannot be sent fails, and its connection lives on")
  func longHeaders() async throws {
    var unlimited = RPCClient.Configuration()
    unlimited.http2.maxHeaderListBytes = 1 << 20
    try await withLoopback([.echo], client: unlimited) { client in
      let metadata: Metadata = ["x-long": String(repeating: "x", count: 100_000)]
      let error = await status {
        try await client.unary(
          path: "/test.Service/Echo", request: ByteBuffer(), options: CallOptions(metadata: metadata))
      }
      #expect(error?.code == .internal)
      _ = try await client.unary(path: "/test.Service/Echo", request: ByteBuffer())
    }
  }

  @Test("runs its handler on the connection's loop, also after it was suspended")
  func executor() async throws {
    let method = MethodDefinition.unary("Where") { message, context in
      #expect(context.eventLoop.inEventLoop)
      await Task.yield()
      #expect(context.eventLoop.inEventLoop)
      let elsewhere = Task.detached { 1 }
      _ = await elsewhere.value
      #expect(context.eventLoop.inEventLoop)
      return message
    }
    _ = try await withLoopback([method]) { client in
      try await client.unary(path: "/test.Service/Where", request: ByteBuffer())
    }
  }

  @Test("waits for a stream when the peer allows no more, and all are answered")
  func concurrencyLimit() async throws {
    let running = Count()
    let most = Count()
    let method = MethodDefinition.unary("Busy") { message, _ in
      let now = running.add(1)
      if now > most.value { most.add(now - most.value) }
      for _ in 0..<10 { await Task.yield() }
      running.add(-1)
      return message
    }
    try await withLoopback([method], configure: { $0.http2.maxConcurrentStreams = 3 }) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<100 {
          group.addTask { _ = try await client.unary(path: "/test.Service/Busy", request: ByteBuffer()) }
        }
        try await group.waitForAll()
      }
    }
    #expect(most.value <= 3)
  }

  @Test("works over a Unix socket")
  func unixSocket() async throws {
    let path = "/tmp/mainstreet-rpc-\(UInt64.random(in: 0 ... .max)).sock"
    let response = try await withLoopback([.echo], configure: { $0.address = .unix(path: path) }) { client in
      try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(string: "hi"))
    }
    #expect(response.message == ByteBuffer(string: "hi"))
  }
}
