import HTTP2
import NIOCore
import Testing

@testable import RPC

@Suite("What a server counts") struct StatisticsTests {
  @Test("Calls are counted by how they ended, with their messages and bytes")
  func calls() async throws {
    let fail = MethodDefinition.unary("Fail") { _, _ in throw RPCError(.aborted, "") }
    try await withStatistics([.echo, .echoAll, fail]) { client in
      for _ in 0..<3 {
        _ = try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(string: "four"))
      }
      _ = await status { try await client.unary(path: "/test.Service/Fail", request: ByteBuffer()) }
      _ = await status { try await client.unary(path: "/test.Service/None", request: ByteBuffer()) }
      _ = try await client.stream(
        path: "/test.Service/EchoAll",
        requests: { for _ in 0..<5 { try await $0.write(ByteBuffer(string: "x")) } },
        responses: { for try await _ in $0 {} })
    } check: { statistics in
      func method(_ name: String) throws -> MethodStatistics {
        try #require(statistics.methods.first { $0.method == name })
      }
      let echo = try method("/test.Service/Echo")
      #expect(echo.started == 3)
      #expect(echo.ended[StatusCode.ok.rawValue] == 3)
      #expect(echo.durations.reduce(0, +) == 3)
      #expect(echo.totalDuration > .zero)
      #expect(
        [echo.requestMessages, echo.requestBytes, echo.responseMessages, echo.responseBytes] == [
          3, 12, 3, 12,
        ])
      let echoAll = try method("/test.Service/EchoAll")
      #expect([echoAll.requestMessages, echoAll.responseMessages, echoAll.responseBytes] == [5, 5, 5])
      #expect(try method("/test.Service/Fail").ended[StatusCode.aborted.rawValue] == 1)
      #expect(try method("unknown").ended[StatusCode.unimplemented.rawValue] == 1)
      #expect(statistics.methods.allSatisfy { $0.inFlight == 0 })
    }
  }

  @Test("A call under way is in flight, and its connection shows it")
  func inFlight() async throws {
    let started = Signal()
    let stuck = MethodDefinition.unary("Stuck") { message, _ in
      await started.raise()
      try await untilCancelled()
      return message
    }
    let server = try await RunningServer.start([stuck])
    try await withClient(server.address) { client in
      let call = Task { try await client.unary(path: "/test.Service/Stuck", request: ByteBuffer()) }
      await started.wait()
      let loop = loops.client.any()
      let statistics = try await server.server.statistics(on: loop).get()
      #expect(statistics.methods.first?.inFlight == 1)
      #expect(statistics.connections.open == 1)
      #expect(statistics.connections.counters.streamsOpened == 1)
      let connections = try await server.server.connections(on: loop).get()
      #expect(connections.map(\.openCalls) == [1])
      #expect(connections.map(\.runningHandlers) == [1])
      #expect(connections.first?.idle == nil)
      #expect(connections.first?.peer?.ipAddress == "127.0.0.1")
      call.cancel()
      _ = await call.result
    }
    await server.stop()
  }

  @Test("Connections are counted when accepted, refused and closed")
  func connections() async throws {
    try await withStatistics([.echo], configure: { $0.maxConnections = 1 }) { client in
      _ = try await client.unary(path: "/test.Service/Echo", request: ByteBuffer())
    } second: { client in
      _ = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
    } check: { statistics in
      #expect(statistics.connections.accepted == 1)
      #expect(statistics.connections.refused >= 1)
      #expect(statistics.connections.open == 0)
      #expect(statistics.connections.closed == ["ended": 1])
      #expect(statistics.connections.counters.streamsOpened == 1)
      #expect(statistics.connections.counters.bytesReceived > 0)
      #expect(statistics.connections.counters.bytesSent > 0)
    }
  }

  /// What the server has counted once it has stopped, so that nothing is under way any more.
  private func withStatistics(
    _ methods: [MethodDefinition], configure: (inout RPCServer.Configuration) -> Void = { _ in },
    calls: (RPCClient) async throws -> Void, second: (RPCClient) async throws -> Void = { _ in },
    check: (ServerStatistics) throws -> Void
  ) async throws {
    let server = try await RunningServer.start(methods, configure: configure)
    try await withClient(server.address) { client in
      try await calls(client)
      try await withClient(server.address) { try await second($0) }
    }
    await server.stop()
    try check(try await server.server.statistics(on: loops.client.any()).get())
  }
}
