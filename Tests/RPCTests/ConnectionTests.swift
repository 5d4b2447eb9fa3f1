import HTTP2
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import RPC

@Suite("A connection") struct ConnectionTests {
  @Test("draining under load loses no call that was accepted")
  func drainUnderLoad() async throws {
    let server = try await RunningServer.start([.echo])
    try await withClient(server.address) { client in
      let answered = Count()
      let enough = Signal()
      let errors = try await withThrowingTaskGroup(of: [RPCError].self) { group in
        for _ in 0..<20 {
          group.addTask {
            while true {
              let error = await status {
                try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(string: "x"))
              }
              if let error { return [error] }
              if answered.add(1) == 2000 { await enough.raise() }
            }
          }
        }
        await enough.wait()
        await server.stop()
        return try await group.reduce(into: []) { $0 += $1 }
      }
      // Each loop ends with the first call made when there was no server any more, and with no other.
      #expect(errors.count == 20)
      for error in errors {
        #expect(error.code == .unavailable)
        #expect(error.message.hasPrefix("cannot connect"))
      }
    }
  }

  @Test("that is old goes and another comes, and no call notices", arguments: ["server", "client"])
  func age(whose: String) async throws {
    let peers = Peers()
    let method = MethodDefinition.unary("Peer") { message, context in
      peers.names.withLock { _ = $0.insert("\(context.peer as SocketAddress?)") }
      return message
    }
    var client = RPCClient.Configuration()
    if whose == "client" { client.http2.maxAge = .milliseconds(1500) }
    try await withLoopback(
      [method], configure: { if whose == "server" { $0.http2.maxAge = .milliseconds(1500) } }, client: client
    ) { client in
      try await withThrowingTaskGroup { group in
        for _ in 0..<10 {
          group.addTask {
            while peers.names.withLock(\.count) < 2 {
              _ = try await client.unary(path: "/test.Service/Peer", request: ByteBuffer(string: "x"))
            }
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test("draining waits for a call that runs")
  func drainWaits() async throws {
    let started = Signal()
    let finish = Signal()
    let method = MethodDefinition.unary("Slow") { message, _ in
      await started.raise()
      await finish.wait()
      return message
    }
    let server = try await RunningServer.start([method], configure: { $0.shutdownGrace = .seconds(60) })
    try await withClient(server.address) { client in
      async let answer = client.unary(path: "/test.Service/Slow", request: ByteBuffer(string: "x"))
      await started.wait()
      async let stopped: Void = server.stop()
      // A call that is refused shows that the listener is gone while the first call still runs.
      while await status({ try await client.unary(path: "/none", request: ByteBuffer()) })?.code
        != .unavailable
      {}
      await finish.raise()
      let message = try await answer.message
      #expect(message == ByteBuffer(string: "x"))
      await stopped
    }
  }

  @Test("draining cuts off what outlasts the grace period, and its handler is cancelled")
  func drainCutsOff() async throws {
    let started = Signal()
    let cancelled = Signal()
    let method = MethodDefinition.unary("Stuck") { message, _ in
      await started.raise()
      do { try await untilCancelled() } catch { await cancelled.raise() }
      return message
    }
    let server = try await RunningServer.start([method], configure: { $0.shutdownGrace = .milliseconds(20) })
    try await withClient(server.address) { client in
      async let error = status { try await client.unary(path: "/test.Service/Stuck", request: ByteBuffer()) }
      await started.wait()
      await server.stop()
      await cancelled.wait()
      #expect(await error == .shuttingDown)
    }
  }

  @Test("to nothing fails at once as UNAVAILABLE, naming the address")
  func nothingThere() async throws {
    let server = try await RunningServer.start([.echo])
    await server.stop()
    try await withClient(server.address) { client in
      for _ in 0..<3 {
        let error = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("\(server.address)") == true)
      }
    }
  }

  @Test("is made again when the server is back")
  func reconnect() async throws {
    let first = try await RunningServer.start([.echo])
    let address = first.address
    var configuration = RPCClient.Configuration()
    configuration.backoff.initial = .milliseconds(1)
    try await withClient(address, configuration: configuration) { client in
      _ = try await client.unary(path: "/test.Service/Echo", request: ByteBuffer())
      await first.stop()
      let error = await status { try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }
      #expect(error?.code == .unavailable)
      let second = try await RunningServer.start([.echo], configure: { $0.address = address })
      while await status({ try await client.unary(path: "/test.Service/Echo", request: ByteBuffer()) }) != nil
      {
        await Task.yield()
      }
      await second.stop()
    }
  }

  @Test("over the limit of connections is closed")
  func connectionLimit() async throws {
    try await withServer([.echo], configure: { $0.maxConnections = 1 }) { address in
      try await withClient(address) { first in
        _ = try await first.unary(path: "/test.Service/Echo", request: ByteBuffer())
        try await withClient(address) { second in
          let error = await status {
            try await second.unary(path: "/test.Service/Echo", request: ByteBuffer())
          }
          #expect(error?.code == .unavailable)
        }
      }
    }
  }

  @Test("refuses to run more handlers than it may, resets included")
  func handlerLimit() async throws {
    let started = Signal()
    let release = Signal()
    let method = MethodDefinition.unary("Deaf") { message, _ in
      await started.raise()
      // Does not listen to its cancellation, so its stream goes and it stays.
      await release.wait()
      return message
    }
    try await withLoopback([method], configure: { $0.maxRunningHandlers = 1 }) { client in
      let first = Task { try await client.unary(path: "/test.Service/Deaf", request: ByteBuffer()) }
      await started.wait()
      first.cancel()
      _ = await first.result
      let error = await status { try await client.unary(path: "/test.Service/Deaf", request: ByteBuffer()) }
      #expect(error?.code == .resourceExhausted)
      await release.raise()
    }
  }

  @Test("that cannot listen says so in one error")
  func portTaken() async throws {
    try await withServer([.echo]) { address in
      let error = await #expect(throws: ListenError.self) {
        try await RunningServer.start([.echo], configure: { $0.address = address }).stop()
      }
      #expect(error?.description == "cannot listen on \(address): Address already in use")
    }
  }
}

private final class Peers: Sendable {
  let names = Mutex<Set<String>>([])
}
