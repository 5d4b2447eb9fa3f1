import NIOCore
import Testing

@testable import RPC

@Suite("Tasks on an event loop") struct EventLoopTaskExecutorTests {
  @Test("leave the loop to its sockets, however often they yield")
  func yielding() async throws {
    let began = Signal()
    let echoed = Count()
    // So many that it ends where it is the only one to run.
    let patience = 3_000_000
    let yielding = MethodDefinition.unary("Yield") { _, _ in
      await began.raise()
      var yields = 0
      while echoed.value == 0, yields < patience {
        await Task.yield()
        yields += 1
      }
      return ByteBuffer(integer: yields)
    }
    let echo = MethodDefinition.unary("Echo") { message, _ in
      echoed.add(1)
      return message
    }
    try await withLoopback([yielding, echo]) { client in
      async let busy = client.unary(path: "/test.Service/Yield", request: ByteBuffer()).message
      await began.wait()
      _ = try await client.unary(path: "/test.Service/Echo", request: ByteBuffer())
      #expect(try #require(try await busy.getInteger(at: 0, as: Int.self)) < patience)
    }
  }
}
