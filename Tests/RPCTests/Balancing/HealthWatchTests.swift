import NIOCore
import Testing

@testable import RPC

@Suite("A client that asks its servers how they are") struct HealthWatchTests {
  @Test(
    "says which service it means, and understands SERVING and nothing else",
    arguments: [
      ([8, 1], true), ([], false), ([8, 0], false), ([8, 2], false), ([8, 3], false), ([9], false),
    ])
  func messages(response: [UInt8], isServing: Bool) {
    #expect(HealthMessage.request(service: "") == ByteBuffer())
    #expect(HealthMessage.request(service: "a.B") == ByteBuffer(bytes: [10, 3] + "a.B".utf8))
    let long = String(repeating: "x", count: 300)
    #expect(HealthMessage.request(service: long) == ByteBuffer(bytes: [10, 0xac, 2] + long.utf8))
    #expect(HealthMessage.isServing(ByteBuffer(bytes: response)) == isServing)
  }

  @Test("calls only those that serve, and those that do not know the question")
  func rotation() async throws {
    let states = [Health(), Health(), nil]
    var servers: [RunningServer] = []
    for (index, health) in states.enumerated() {
      let who = MethodDefinition.unary("Who") { _, _ in ByteBuffer(integer: index) }
      servers.append(try await RunningServer.start([who], and: health.map { [$0.service] } ?? []))
    }
    let target = try RPCTarget(servers.map { "\($0.address)" }.joined(separator: ","))
    var configuration = RPCClient.Configuration()
    configuration.healthService = ""
    configuration.backoff.initial = .milliseconds(1)
    try await withClient(target, configuration: configuration) { client in
      states[0]?.say(.serving)
      states[1]?.say(.notServing)
      try await until(client, uses: [0, 2])
      states[1]?.say(.serving)
      try await until(client, uses: [0, 1, 2])
      // It ends the watch, which begins again and hears the same.
      states[0]?.say(.end)
      states[0]?.say(.serving)
      try await until(client, uses: [0, 1, 2])
      states[0]?.say(.notServing)
      try await until(client, uses: [1, 2])
      // A watch is no reason to wait when a server drains.
      for server in servers { await server.stop() }
    }
  }

  @Test("makes calls anew that were lost with their connection: it tells nothing of the server's health")
  func lostConnection() async throws {
    let watch = MethodDefinition.streaming("Watch") { _, responses, _ in
      try await responses.write(ByteBuffer(bytes: [8, 1]))
      try await untilCancelled()
    }
    let health = ServiceDefinition(name: "grpc.health.v1.Health", methods: [watch])
    let greet = MethodDefinition.streaming("Greet") { _, responses, _ in
      try await responses.write(ByteBuffer(string: "hello"))
      try await untilCancelled()
    }
    let server = try await RunningServer.start([.echo, greet], and: [health])
    var configuration = RPCClient.Configuration()
    configuration.healthService = ""
    let channel = LoopChannel(
      target: RPCTarget(server.address), resolution: nil, configuration: configuration,
      eventLoop: loops.client.any(), logger: .quiet)
    _ = try await ClientCall.once(on: channel, path: "/test.Service/Echo").unary(ByteBuffer())
    let call = ClientCall.once(on: channel, path: "/test.Service/Greet")
    try await channel.eventLoop.submit {
      // Nothing of the call has left when the connection goes, in the same turn of the loop.
      call.begin()
      channel.subchannels.first?.connections.values.first?.channel?.close(promise: nil)
    }.get()
    _ = try await call.initialMetadata()
    #expect(try await channel.eventLoop.submit { call.error }.get() == nil)
    call.cancel()
    _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    await server.stop()
  }

  @Test("falls asleep when it has not been used for long, whether or not its server knows the question")
  func idle() async throws {
    let watch = MethodDefinition.streaming("Watch") { _, responses, _ in
      try await responses.write(ByteBuffer(bytes: [8, 1]))
      try await untilCancelled()
    }
    let health = ServiceDefinition(name: "grpc.health.v1.Health", methods: [watch])
    for services in [[health], []] {
      let server = try await RunningServer.start([.echo], and: services)
      var configuration = RPCClient.Configuration()
      configuration.healthService = ""
      configuration.idleTime = .milliseconds(5)
      let channel = LoopChannel(
        target: RPCTarget(server.address), resolution: nil, configuration: configuration,
        eventLoop: loops.client.any(), logger: .quiet)
      _ = try await ClientCall.once(on: channel, path: "/test.Service/Echo").unary(ByteBuffer())
      while try await channel.eventLoop.submit({
        channel.connectivity != .idle || !channel.leaving.isEmpty
      }).get() {}
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
      await server.stop()
    }
  }

  /// Returns when calls go to these and, twenty times in a row, to no other.
  private func until(_ client: RPCClient, uses servers: Set<Int>) async throws {
    while true {
      var seen: Set<Int> = []
      for _ in 0..<20 {
        let answer = try await client.unary(path: "/test.Service/Who", request: ByteBuffer()).message
        seen.insert(answer.getInteger(at: 0) ?? -1)
      }
      if seen == servers { return }
    }
  }

  /// A health service that says what it is told to.
  private struct Health: Sendable {
    enum Word { case serving, notServing, end }

    private let words = AsyncStream<Word>.makeStream()

    func say(_ word: Word) { words.continuation.yield(word) }

    var service: ServiceDefinition {
      let stream = words.stream
      let watch = MethodDefinition.streaming("Watch") { _, responses, _ in
        for await word in stream {
          switch word {
          case .serving: try await responses.write(ByteBuffer(bytes: [8, 1]))
          case .notServing: try await responses.write(ByteBuffer(bytes: [8, 2]))
          case .end: throw RPCError(.unavailable, "enough")
          }
        }
      }
      return ServiceDefinition(name: "grpc.health.v1.Health", methods: [watch])
    }
  }
}
