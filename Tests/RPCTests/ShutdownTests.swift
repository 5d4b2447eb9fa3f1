import NIOCore
import Testing

@testable import RPC

@Suite("A server that shuts down") struct ShutdownTests {
  @Test("tells the calls it cuts off at the end of the grace why", arguments: ["Unary", "Stream"])
  func cutOff(method: String) async throws {
    let started = Signal()
    let methods: [MethodDefinition] = [
      .unary("Unary") { message, _ in
        await started.raise()
        try await untilCancelled()
        return message
      },
      .streaming("Stream") { _, responses, _ in
        try await responses.write(ByteBuffer(string: "so far"))
        await started.raise()
        try await untilCancelled()
      },
    ]
    let server = try await RunningServer.start(methods, configure: { $0.shutdownGrace = .milliseconds(20) })
    try await withClient(server.address) { client in
      async let error = status {
        try await client.unary(path: "/test.Service/\(method)", request: ByteBuffer())
      }
      await started.wait()
      await server.stop()
      #expect(await error == .shuttingDown)
    }
  }

  @Test("does not wait for watches: what they have said arrives, then they end as UNAVAILABLE")
  func watches() async throws {
    var watch = MethodDefinition.streaming("Watch") { _, responses, _ in
      try await responses.write(ByteBuffer(string: "now"))
      try await untilCancelled()
    }
    watch.endsAtShutdown = true
    let server = try await RunningServer.start([watch], configure: { $0.shutdownGrace = .seconds(3600) })
    try await withClient(server.address) { client in
      let seen = Signal()
      async let error = status {
        try await client.stream(
          path: "/test.Service/Watch", requests: { _ in try await untilCancelled() },
          responses: { responses in
            for try await message in responses {
              #expect(message == ByteBuffer(string: "now"))
              await seen.raise()
            }
          })
      }
      await seen.wait()
      await server.stop()
      #expect(await error == .shuttingDown)
    }
  }
}
