import HTTP2
import NIOCore
import Synchronization
import Testing

@testable import RPC

@Suite("A client with several servers") struct BalancingTests {
  /// So many servers, each of which answers with its number and counts its calls.
  private func withServers<Result>(
    _ count: Int, methods: (Int) -> [MethodDefinition] = { _ in [] },
    body: ([RunningServer]) async throws -> Result
  ) async throws -> Result {
    var servers: [RunningServer] = []
    for index in 0..<count {
      let whoAmI = MethodDefinition.unary("Who") { _, _ in ByteBuffer(integer: index) }
      servers.append(try await RunningServer.start([whoAmI] + methods(index)))
    }
    do {
      let result = try await body(servers)
      for server in servers { await server.stop() }
      return result
    } catch {
      for server in servers { await server.stop() }
      throw error
    }
  }

  private func who(_ client: RPCClient) async throws -> Int {
    try await client.unary(path: "/test.Service/Who", request: ByteBuffer()).message.getInteger(at: 0) ?? -1
  }

  /// Calls until as many different servers have answered as are expected, and no other.
  private func expect(_ client: RPCClient, toUse servers: Set<Int>) async throws {
    var seen: Set<Int> = []
    while seen != servers { seen.insert(try await who(client)) }
    for _ in 0..<10 {
      let answer = try await who(client)
      #expect(servers.contains(answer))
    }
  }

  private func target(_ servers: [RunningServer]) throws -> RPCTarget {
    try RPCTarget(servers.map { "\($0.address)" }.joined(separator: ","))
  }

  @Test("calls all of them in turn")
  func roundRobin() async throws {
    try await withServers(3) { servers in
      try await withClient(try target(servers)) { client in
        try await expect(client, toUse: [0, 1, 2])
        var answers: [Int] = []
        for _ in 0..<6 { answers.append(try await who(client)) }
        #expect(answers[0..<3] == answers[3..<6])
        #expect(Set(answers) == [0, 1, 2])
      }
    }
  }

  @Test("calls the first of them that there is, when told to pick the first")
  func pickFirst() async throws {
    try await withServers(3) { servers in
      await servers[0].stop()
      var configuration = RPCClient.Configuration()
      configuration.balancing = .pickFirst(shuffled: false)
      try await withClient(try target(servers), configuration: configuration) { client in
        try await expect(client, toUse: [1])
        await servers[1].stop()
        // The connection is gone, the next call finds another.
        while await status({ try await who(client) }) != nil {}
        try await expect(client, toUse: [2])
      }
    }
  }

  @Test("loses no call when one of them drains, and finds it when it is back")
  func drain() async throws {
    try await withServers(3) { servers in
      var configuration = RPCClient.Configuration()
      configuration.backoff.initial = .milliseconds(1)
      try await withClient(try target(servers), configuration: configuration) { client in
        try await expect(client, toUse: [0, 1, 2])
        let calls = Task {
          while !Task.isCancelled { _ = try await who(client) }
        }
        await servers[1].stop()
        try await expect(client, toUse: [0, 2])
        let whoAmI = MethodDefinition.unary("Who") { _, _ in ByteBuffer(integer: 1) }
        let again = try await RunningServer.start([whoAmI], configure: { $0.address = servers[1].address })
        try await expect(client, toUse: [0, 1, 2])
        calls.cancel()
        let error = await status { try await calls.value }
        #expect(error == nil || error == .cancelledByCaller)
        await again.stop()
      }
    }
  }

  @Test("fails with the reason when none can be reached")
  func noneThere() async throws {
    try await withServers(2) { servers in
      for server in servers { await server.stop() }
      try await withClient(try target(servers)) { client in
        let error = await status { try await who(client) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.hasPrefix("cannot connect to 127.0.0.1:") == true)
      }
    }
  }

  @Test("follows the addresses its name stands for: new ones are used, calls on old ones finish")
  func addresses() async throws {
    let started = Signal()
    let finish = Signal()
    let slow = MethodDefinition.unary("Slow") { message, _ in
      await started.raise()
      await finish.wait()
      return message
    }
    try await withServers(3, methods: { $0 == 0 ? [slow] : [] }) { servers in
      let known = Mutex([servers[0].address, servers[1].address])
      var configuration = RPCClient.Configuration()
      configuration.resolution.resolver = Resolver { _, _, loop in
        loop.makeSucceededFuture(known.withLock { $0 })
      }
      configuration.resolution.interval = .milliseconds(1)
      configuration.resolution.minimumInterval = .milliseconds(1)
      // The first call goes where there is a connection first; only server 0 has the method.
      try await withClient(RPCTarget(.tcp(host: "servers", port: 1)), configuration: configuration) {
        client in
        try await expect(client, toUse: [0, 1])
        let slow = Task {
          while true {
            let error = await status {
              try await client.unary(path: "/test.Service/Slow", request: ByteBuffer())
            }
            if error?.code != .unimplemented { return error }
          }
        }
        await started.wait()
        known.withLock { $0 = [servers[1].address, servers[2].address] }
        while try await who(client) != 2 {}
        try await expect(client, toUse: [1, 2])
        await finish.raise()
        #expect(await slow.value == nil)
      }
    }
  }

  @Test(
    "makes one connection to an address that two of its names stand for, however often they are looked up")
  func sameAddress() async throws {
    try await withServers(1) { servers in
      let address = servers[0].address
      let lookups = Count()
      var configuration = RPCClient.Configuration()
      configuration.resolution.resolver = Resolver { _, _, loop in
        lookups.add(1)
        return loop.makeSucceededFuture([address, address])
      }
      configuration.resolution.interval = .milliseconds(1)
      configuration.resolution.minimumInterval = .milliseconds(1)
      let target = try RPCTarget("one:1,two:1")
      try await withClient(target, configuration: configuration) { client in
        // More than once for each name.
        while lookups.value < 6 {
          let server = try await who(client)
          #expect(server == 0)
        }
      }
    }
  }

  @Test("fails when its name cannot be resolved, and works once it can")
  func unresolved() async throws {
    try await withServers(1) { servers in
      let isKnown = Mutex(false)
      let address = servers[0].address
      var configuration = RPCClient.Configuration()
      configuration.resolution.resolver = Resolver { host, _, loop in
        isKnown.withLock { $0 }
          ? loop.makeSucceededFuture([address])
          : loop.makeFailedFuture(ResolutionError(host: host, problem: "not yet"))
      }
      configuration.backoff.initial = .milliseconds(1)
      try await withClient(RPCTarget(.tcp(host: "server", port: 1)), configuration: configuration) { client in
        let error = await status { try await who(client) }
        #expect(error == RPCError(.unavailable, "cannot resolve server: not yet"))
        isKnown.withLock { $0 = true }
        while await status({ try await who(client) }) != nil {}
      }
    }
  }

  @Test("ejects one whose calls fail five times in a row")
  func outlier() async throws {
    let isBroken = Mutex(false)
    func work(_ index: Int) -> MethodDefinition {
      .unary("Work") { _, _ in
        if index == 1, isBroken.withLock({ $0 }) { throw RPCError(.internal, "broken") }
        return ByteBuffer(integer: index)
      }
    }
    try await withServers(3, methods: { [work($0)] }) { servers in
      try await withClient(try target(servers)) { client in
        try await expect(client, toUse: [0, 1, 2])
        isBroken.withLock { $0 = true }
        var failures = 0
        for _ in 0..<60 {
          if await status({ try await client.unary(path: "/test.Service/Work", request: ByteBuffer()) })
            != nil
          {
            failures += 1
          }
        }
        #expect(failures == 5)
        try await expect(client, toUse: [0, 2])
      }
    }
  }

  @Test("ejects one that resets calls, as if it had answered them with failures")
  func resets() async throws {
    try await withServers(2) { servers in
      try await ScriptedServer.run(.reset(.internalError)) { server, address in
        let target = try RPCTarget(
          (servers.map(\.address) + [address]).map { "\($0)" }.joined(separator: ","))
        try await withClient(target) { client in
          var failures = 0
          for _ in 0..<60 where await status({ try await who(client) }) != nil { failures += 1 }
          #expect(failures == 5)
          #expect(server.attempts.count == 5)
        }
      }
    }
  }

  @Test("keeps the servers of a name that cannot be resolved for the moment")
  func unresolvedAmongOthers() async throws {
    try await withServers(2) { servers in
      let addresses = servers.map(\.address)
      let failures = Count()
      let isBroken = Mutex(false)
      var configuration = RPCClient.Configuration()
      configuration.resolution.resolver = Resolver { host, port, loop in
        if host == "b", isBroken.withLock({ $0 }) {
          failures.add(1)
          return loop.makeFailedFuture(ResolutionError(host: host, problem: "a moment"))
        }
        return loop.makeSucceededFuture([addresses[host == "a" ? 0 : 1]])
      }
      configuration.resolution.interval = .milliseconds(1)
      configuration.resolution.minimumInterval = .milliseconds(1)
      configuration.backoff.initial = .milliseconds(1)
      try await withClient(try RPCTarget("a:1,b:1"), configuration: configuration) { client in
        try await expect(client, toUse: [0, 1])
        isBroken.withLock { $0 = true }
        while failures.value < 3 { _ = try await who(client) }
        try await expect(client, toUse: [0, 1])
      }
    }
  }

  @Test("that slept while all were away finds those that are back")
  func backAfterSleep() async throws {
    let server = try await RunningServer.start([.echo])
    await server.stop()
    let channel = LoopChannel(
      target: RPCTarget(server.address), resolution: nil, configuration: RPCClient.Configuration(),
      eventLoop: loops.client.any(), logger: .quiet)
    func call() async -> RPCError? {
      await status { try await ClientCall.once(on: channel, path: "/test.Service/Echo").unary(ByteBuffer()) }
    }
    #expect(await call()?.message.hasPrefix("cannot connect") == true)
    try await channel.eventLoop.submit { channel.fallAsleep() }.get()
    let again = try await RunningServer.start([.echo], configure: { $0.address = server.address })
    #expect(await call() == nil)
    _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    await again.stop()
  }

  @Test("calls one that was ejected again when its time is over")
  func readmission() async throws {
    try await withServers(2) { servers in
      var configuration = RPCClient.Configuration()
      configuration.outlierDetection?.interval = .milliseconds(1)
      configuration.outlierDetection?.baseEjectionTime = .milliseconds(1)
      let channel = LoopChannel(
        target: try target(servers), resolution: nil, configuration: configuration,
        eventLoop: loops.client.any(), logger: .quiet)
      func who() async throws -> Int? {
        try await ClientCall.once(on: channel, path: "/test.Service/Who").unary(ByteBuffer())
          .message.getInteger(at: 0)
      }
      while try await channel.eventLoop.submit({ channel.rotation.count }).get() < 2 { _ = try await who() }
      let ejected = try await channel.eventLoop.submit {
        for _ in 0..<5 { channel.subchannels[1].record(.internal) }
        return channel.rotation.map(\.address)
      }.get()
      #expect(ejected == [servers[0].address])
      while try await who() != 1 {}
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }

  @Test("closes its connections when it has not been used for long, and makes them again")
  func idle() async throws {
    try await withServers(2) { servers in
      var configuration = RPCClient.Configuration()
      configuration.idleTime = .milliseconds(5)
      let target = try target(servers)
      let channel = LoopChannel(
        target: target, resolution: nil, configuration: configuration, eventLoop: loops.client.any(),
        logger: .quiet)
      func call() async throws {
        _ = try await ClientCall.once(on: channel, path: "/test.Service/Who")
          .unary(ByteBuffer())
      }
      for _ in 0..<2 {
        try await call()
        while try await channel.eventLoop.submit({
          channel.connectivity != .idle || !channel.leaving.isEmpty
        }).get() {}
      }
      _ = try await channel.eventLoop.submit { channel.shutDown() }.get()
    }
  }
}
