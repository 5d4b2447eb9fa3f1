import HTTP2
import NIOCore
import Testing

@testable import RPC

@Suite("What calls may hold of a server") struct ServerMemoryTests {
  private let echo = "/test.Service/Echo"

  @Test("A message that would be too much for all connections is UNAVAILABLE, and later ones are served")
  func serverBytes() async throws {
    try await withLoopback([.echo], configure: { $0.maxBufferedBytesPerServer = 300_000 }) { client in
      for _ in 0..<20 {
        let large = await status {
          try await client.unary(path: echo, request: ByteBuffer(repeating: 1, count: 400_000))
        }
        #expect(large?.code == .unavailable)
        _ = try await client.unary(path: echo, request: ByteBuffer(repeating: 1, count: 100_000))
      }
    }
  }

  @Test("What a message inflates to counts until its handler has ended")
  func inflated() async throws {
    try await withLoopback([.echo], configure: { $0.maxBufferedBytes = 1_000_000 }) { client in
      func send(_ count: Int) async -> RPCError? {
        await status {
          try await client.unary(
            path: echo, request: ByteBuffer(repeating: 0, count: count),
            options: CallOptions(policy: CallPolicy(compression: .gzip)))
        }
      }
      for _ in 0..<20 {
        #expect(await send(900_000) == nil)
        #expect(await send(1_100_000) == .connectionHoldsTooMuch)
      }
    }
  }

  @Test("A call that ends keeps nothing, whatever becomes of its handler")
  func finished() throws {
    let table = MethodTable(
      [ServiceDefinition(name: "s", methods: [.echoAll])],
      configuration: RPCServer.Configuration(address: .unix(path: "")))
    var state = ServerCallState(maxHeaderListBytes: 1000)
    for (name, value) in [
      (":method", "POST"), (":path", "/s/EchoAll"), ("content-type", "application/grpc"),
    ] {
      Array(name.utf8).withUnsafeBytes { name in
        Array(value.utf8).withUnsafeBytes { state.received(name: name, value: $0, methods: table) }
      }
    }
    #expect(state.headersEnded() == .start)
    let head = state.bufferedBytes
    #expect(head == state.head.bytes)
    state.handlerBegan()
    let bytes: [UInt8] = [0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 1, 8, 0, 0]
    _ = bytes.withUnsafeBytes { state.received($0) }
    #expect(state.bufferedBytes == head + bytes.count)
    _ = try state.next()
    #expect(state.bufferedBytes == head + 9)
    _ = state.finish()
    state.streamClosed()
    // The handler still has the headers, and what it took.
    #expect(state.bufferedBytes == head + 1)
    let returned = state.takeReturnable()
    #expect(returned == bytes.count)
    state.handlerEnded()
    #expect(state.bufferedBytes == 0)
  }

  @Test("Headers count while a handler has them")
  func headers() async throws {
    let held = HeldCalls()
    let server = try await RunningServer.start([held.method], configure: { $0.maxBufferedBytes = 70_000 })
    try await withClient(server.address) { client in
      let (running, error) = await held.fill(
        client, metadata: ["x-long": String(repeating: "x", count: 6_800)])
      // Some 7,000 bytes each, with what the protocol adds.
      #expect(running == 9)
      #expect(error == .connectionHoldsTooMuch)
      let before = try await buffered(by: server)
      #expect((9 * 6_800...70_000).contains(before))
      await held.release.raise()
      await held.ended()
      // What ended last is about to be forgotten by the loop that answers.
      while try await buffered(by: server) > 0 {}
    }
    await server.stop()
  }

  private func buffered(by server: RunningServer) async throws -> Int {
    try await server.server.connections(on: loops.client.any()).get().reduce(0) { $0 + $1.bufferedBytes }
  }

  @Test("Requests that came too slowly are forgotten when their time is over")
  func slowRequests() async throws {
    let server = try await RunningServer.start(
      [.echo],
      configure: {
        $0.requestTimeout = .milliseconds(20)
        $0.maxBufferedBytes = 100_000
      })
    try await withClient(server.address) { client in
      // Each is all but complete, and two are more than may be held.
      for _ in 0..<5 {
        let error = await status {
          try await client.stream(
            path: echo,
            requests: {
              try await $0.write(ByteBuffer(repeating: 1, count: 60_000))
              try await untilCancelled()
            },
            responses: { for try await _ in $0 {} })
        }
        #expect(error == RPCError(.deadlineExceeded, "the request has not arrived in time"))
        while try await buffered(by: server) > 0 {}
      }
      // It may be too slow itself where the machine is, but is not refused for what others held.
      var error: RPCError?
      repeat {
        error = await status {
          try await client.unary(path: echo, request: ByteBuffer(repeating: 1, count: 90_000))
        }
        #expect(error?.code != .resourceExhausted)
      } while error != nil
    }
    await server.stop()
  }

  @Test(
    "A call whose one message does not arrive ends, and has run no handler", arguments: ["Echo", "Once"])
  func unfinished(method: String) async throws {
    let once = MethodDefinition(
      name: "Once", access: .public, handler: .streaming { _, _, _ in }, takesOneMessage: true)
    try await withLoopback(
      [.echo, once],
      configure: {
        $0.requestTimeout = .milliseconds(20)
        $0.maxRunningHandlers = 0
      }
    ) { client in
      let error = await status {
        try await client.stream(
          path: "/test.Service/\(method)", requests: { _ in try await untilCancelled() },
          responses: { for try await _ in $0 {} })
      }
      #expect(error == RPCError(.deadlineExceeded, "the request has not arrived in time"))
    }
  }

  @Test("Calls that last have few places, and those their own")
  func lasting() async throws {
    let opened = Signal()
    var watch = MethodDefinition.streaming("Watch") { _, responses, _ in
      try await responses.write(ByteBuffer())
      try await untilCancelled()
    }
    watch.endsAtShutdown = true
    try await withLoopback(
      [.echo, watch],
      configure: {
        $0.maxLastingCalls = 1
        $0.maxRunningHandlers = 1
      }
    ) { client in
      @Sendable func open(_ responses: @escaping @Sendable () async throws -> Void) async throws {
        _ = try await client.stream(
          path: "/test.Service/Watch", requests: { _ in },
          responses: { for try await _ in $0 { try await responses() } })
      }
      let first = Task { try await open { await opened.raise() } }
      await opened.wait()
      #expect(await status { try await open {} } == .tooManyLastingCalls)
      _ = try await client.unary(path: echo, request: ByteBuffer())
      first.cancel()
      _ = await first.result
    }
  }

  @Test("Every connection can have one call that lasts, whatever others have")
  func firstLasting() async throws {
    var watch = MethodDefinition.streaming("Watch") { _, responses, _ in
      try await responses.write(ByteBuffer())
      try await untilCancelled()
    }
    watch.endsAtShutdown = true
    @Sendable func open(_ client: RPCClient, _ opened: Signal = Signal()) async throws {
      try await client.stream(
        path: "/test.Service/Watch", requests: { _ in },
        responses: { for try await _ in $0 { await opened.raise() } })
    }
    try await withServer([watch], configure: { $0.maxLastingCallsPerServer = 4 }) { address in
      try await withClient(address) { greedy in
        // Half of four are for those that have none.
        var held: [Task<Void, any Error>] = []
        for _ in 0..<2 {
          let opened = Signal()
          held.append(Task { try await open(greedy, opened) })
          await opened.wait()
        }
        #expect(await status { try await open(greedy) } == .serverIsBusy)
        for _ in 0..<2 {
          try await withClient(address) { modest in
            let opened = Signal()
            let call = Task { try await open(modest, opened) }
            await opened.wait()
            call.cancel()
            _ = await call.result
          }
        }
        for call in held { call.cancel() }
      }
    }
  }

  @Test("The last of what requests may occupy is for connections that hold little")
  func reserve() async throws {
    let held = HeldCalls()
    let server = try await RunningServer.start(
      [held.method, .echo], configure: { $0.maxBufferedBytesPerServer = 800_000 })
    try await withClient(server.address) { greedy in
      let call = Task {
        try await greedy.unary(
          path: "/test.Service/Hold", request: ByteBuffer(repeating: 1, count: 300_000))
      }
      while try await buffered(by: server) < 300_000 {}
      try await withClient(server.address) { modest in
        // Of the 500,000 that are left 100,000 are kept back, and a connection may hold as much as others still can.
        let large = ByteBuffer(repeating: 1, count: 230_000)
        #expect(await status { try await modest.unary(path: echo, request: large) } == .serverHoldsTooMuch)
        _ = try await modest.unary(path: echo, request: ByteBuffer(repeating: 1, count: 150_000))
        _ = try await modest.unary(path: echo, request: ByteBuffer(repeating: 1, count: 60_000))
      }
      await held.release.raise()
      _ = try await call.value
    }
    await server.stop()
  }

  @Test("A response that would be too much for all connections is not kept, and later ones are")
  func queued() async throws {
    try await withLoopback([.echo], configure: { $0.maxQueuedBytesPerServer = 300_000 }) { client in
      for _ in 0..<20 {
        let large = await status {
          try await client.unary(path: echo, request: ByteBuffer(repeating: 1, count: 400_000))
        }
        #expect(large?.code == .resourceExhausted)
        _ = try await client.unary(path: echo, request: ByteBuffer(repeating: 1, count: 250_000))
        _ = try await client.unary(path: echo, request: ByteBuffer(repeating: 1, count: 60_000))
      }
    }
  }

  @Test("Messages that inflate to much are served a few at a time, and all of them")
  func manyInflated() async throws {
    try await withLoopback([.echo]) { client in
      let message = ByteBuffer(repeating: 0, count: 256 << 10)
      let options = CallOptions(policy: CallPolicy(compression: .gzip))
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<20 {
          group.addTask {
            try await client.unary(path: echo, request: message, options: options).message == message
          }
        }
        for try await isSame in group { #expect(isSame) }
      }
    }
  }

  @Test("Calls without end of others do not put off those whose messages have to be inflated")
  func inflatedBesideOthers() async throws {
    try await withLoopback([.echo]) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            while !Task.isCancelled {
              _ = try? await client.unary(path: echo, request: ByteBuffer(string: "x"))
            }
          }
        }
        let message = ByteBuffer(repeating: 0, count: 1 << 20)
        for _ in 0..<5 {
          var options = CallOptions(policy: CallPolicy(compression: .gzip))
          options.deadline = .now() + .seconds(20)
          let answer = try await client.unary(path: echo, request: message, options: options)
          #expect(answer.message == message)
        }
        group.cancelAll()
      }
    }
  }

  @Test("A handler whose call ends by its first message is cancelled")
  func endedUnderHandler() async throws {
    let cancelled = Signal()
    let stubborn = MethodDefinition.streaming("Stubborn") { requests, _, _ in
      do { for try await _ in requests {} } catch {}
      try? await untilCancelled()
      await cancelled.raise()
    }
    try await withLoopback([stubborn], configure: { $0.maxMessageBytes = 1000 }) { client in
      let error = await status {
        try await client.unary(
          path: "/test.Service/Stubborn", request: ByteBuffer(repeating: 0, count: 2000),
          options: CallOptions(policy: CallPolicy(compression: .gzip)))
      }
      #expect(error?.code == .resourceExhausted)
      await cancelled.wait()
    }
  }

  @Test("A call that is cut because its peer leaves too much unread counts as that")
  func cut() async throws {
    let server = try await RunningServer.start([.echo], configure: { $0.http2.maxQueuedBytes = -1 })
    _ = await withClientError(server.address)
    let statistics = try await server.server.statistics(on: loops.server.any()).get()
    let ended = statistics.methods.first { $0.method == echo }?.ended ?? []
    #expect(ended[StatusCode.resourceExhausted.rawValue] > 0)
    #expect(ended[StatusCode.ok.rawValue] == 0)
    await server.stop()
  }

  private func withClientError(_ address: RPCAddress) async -> RPCError? {
    await status {
      try await withClient(address) { try await $0.unary(path: echo, request: ByteBuffer(string: "x")) }
    }
  }
}
