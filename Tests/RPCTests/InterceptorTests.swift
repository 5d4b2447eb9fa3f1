import Logging
import NIOCore
import Synchronization
import Testing

@testable import RPC

@Suite("Interceptors of a server") struct InterceptorTests {
  private final class Trace: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }

    func interceptor(_ name: String) -> ServerInterceptor {
      .around { context, next in
        self.add("\(name) before \(context.method)")
        try await next()
        self.add("\(name) after")
      }
    }
  }

  @Test("run around calls of every shape, the first outermost", arguments: ["Echo", "EchoAll"])
  func order(method: String) async throws {
    let trace = Trace()
    let server = try await RunningServer.start(
      [.echo, .echoAll], interceptors: [trace.interceptor("outer"), trace.interceptor("inner")])
    try await withClient(server.address) { client in
      let answer = try await client.stream(
        path: "/test.Service/\(method)", requests: { try await $0.write(ByteBuffer(string: "x")) },
        responses: { try await $0.reduce(into: []) { $0.append($1) } })
      #expect(answer == [ByteBuffer(string: "x")])
    }
    await server.stop()
    #expect(
      trace.all == [
        "outer before /test.Service/\(method)", "inner before /test.Service/\(method)", "inner after",
        "outer after",
      ])
  }

  @Test("may refuse a call, and what they throw is its status")
  func refusal() async throws {
    let server = try await RunningServer.start(
      [.echo], interceptors: [.around { _, _ in throw RPCError(.failedPrecondition, "not today") }])
    try await withClient(server.address) { client in
      let error = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
      #expect(error == RPCError(.failedPrecondition, "not today"))
    }
    await server.stop()
  }

  @Test("that do neither make the call INTERNAL")
  func neither() async throws {
    let server = try await RunningServer.start([.echo], interceptors: [.around { _, _ in }])
    try await withClient(server.address) { client in
      let error = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
      #expect(error?.code == .internal)
    }
    await server.stop()
  }

  @Test("see the handler's own error and may translate it")
  func translation() async throws {
    struct Own: Error {}
    let server = try await RunningServer.start(
      [.unary("Fail") { _, _ in throw Own() }],
      interceptors: [.mappingErrors { $0 is Own ? RPCError(.aborted, "again") : nil }])
    try await withClient(server.address) { client in
      let error = await status { try await client.unary(path: "/test.Service/Fail", request: ByteBuffer()) }
      #expect(error == RPCError(.aborted, "again"))
    }
    await server.stop()
  }

}
