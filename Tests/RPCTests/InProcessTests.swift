import NIOCore
import Testing

@testable import RPC

@Suite("A server in the client's own process") struct InProcessTests {
  @Test("answers calls of every shape, as over a network")
  func calls() async throws {
    let meeting = InProcessListener()
    try await withLoopback([.echo, .echoAll], configure: { $0.address = .inProcess(meeting) }) { client in
      let large = ByteBuffer(repeating: 7, count: 1 << 20)
      #expect(try await client.unary(path: "/test.Service/Echo", request: large).message == large)
      let answers = try await client.stream(
        path: "/test.Service/EchoAll",
        requests: { requests in for index in 0..<100 { try await requests.write(ByteBuffer(integer: index)) }
        },
        responses: { responses in try await responses.reduce(into: []) { $0.append($1) } })
      #expect(answers == (0..<100).map { ByteBuffer(integer: $0) })
    }
  }

  @Test("is not there before it runs and after it has drained, and then may come back")
  func comesAndGoes() async throws {
    let meeting = InProcessListener()
    func call() async throws -> RPCError? {
      try await withClient(.inProcess(meeting)) { client in
        await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
      }
    }
    #expect(try await call()?.code == .unavailable)
    for _ in 0..<2 {
      let server = try await RunningServer.start([.echo], configure: { $0.address = .inProcess(meeting) })
      #expect(try await call() == nil)
      await server.stop()
      #expect(try await call()?.code == .unavailable)
    }
  }

  @Test("shares its meeting point with no other server")
  func taken() async throws {
    let meeting = InProcessListener()
    try await withServer([.echo], configure: { $0.address = .inProcess(meeting) }) { address in
      let error = await #expect(throws: ListenError.self) {
        try await RunningServer.start([.echo], configure: { $0.address = address }).stop()
      }
      #expect(error?.description == "cannot listen on in process: Address already in use")
    }
  }
}
