import HTTP2
import NIOCore
import Synchronization
import Testing

@testable import RPC

@Suite("A streaming call") struct StreamingCallTests {
  @Test("ends with CANCELLED when its task is cancelled, whichever side notices first")
  func cancelledTask() async throws {
    try await withLoopback([.echoAll]) { client in
      for _ in 0..<50 {
        let begun = Signal()
        let call = Task {
          try await client.stream(path: "/test.Service/EchoAll") { _ in
            await begun.raise()
            try await untilCancelled()
          } responses: {
            for try await _ in $0 {}
          }
        }
        await begun.wait()
        call.cancel()
        #expect(await status { try await call.value } == .cancelledByCaller)
      }
    }
  }

  @Test("echoes every message in order, empty and long ones too")
  func bidirectional() async throws {
    let sizes = [0, 1, 5, 16_384, 0, 300_000, 1_000_000, 3]
    let received = try await withLoopback([.echoAll]) { client in
      try await client.stream(path: "/test.Service/EchoAll") { writer in
        for size in sizes { try await writer.write(ByteBuffer(repeating: 1, count: size)) }
      } responses: { responses in
        var received: [Int] = []
        for try await message in responses { received.append(message.readableBytes) }
        return received
      }
    }
    #expect(received == sizes)
  }

  @Test("lets its loop look after others between any number of tiny messages")
  func turns() async throws {
    struct Taken { var inTurn = 0, most = 0, all = 0 }
    let taken = Mutex(Taken())
    let method = MethodDefinition.streaming("Count") { requests, _, context in
      for try await _ in requests {
        let isFirst = taken.withLock { taken in
          taken.all += 1
          taken.inTurn += 1
          taken.most = max(taken.most, taken.inTurn)
          return taken.inTurn == 1
        }
        // What the loop has to do comes when it gets to it.
        if isFirst { context.eventLoop.execute { taken.withLock { $0.inTurn = 0 } } }
      }
    }
    try await withLoopback([method]) { client in
      try await client.stream(path: "/test.Service/Count") { writer in
        for _ in 0..<20_000 { try await writer.write(ByteBuffer()) }
      } responses: {
        for try await _ in $0 {}
      }
    }
    #expect(taken.withLock { $0.all } == 20_000)
    // In one turn a loop reads up to four times from a connection.
    #expect(taken.withLock { $0.most } <= 4 * 257)
  }

  @Test("tells initial and trailing metadata")
  func metadata() async throws {
    let method = MethodDefinition.streaming("Meta") { requests, responses, context in
      context.setInitialMetadata("x-initial", "1")
      try await responses.write(ByteBuffer(string: "a"))
      for try await _ in requests {}
      context.setTrailingMetadata("x-trailing", "2")
    }
    try await withLoopback([method]) { client in
      let headersCame = Signal()
      try await client.stream(path: "/test.Service/Meta") { _ in
        await headersCame.wait()
      } responses: { responses in
        #expect(try await responses.initialMetadata["x-initial"] == "1")
        await headersCame.raise()
        for try await _ in responses {}
        #expect(await responses.trailingMetadata["x-trailing"] == "2")
      }
    }
  }

  @Test("gives the messages that came before an error, then the error")
  func errorAfterMessages() async throws {
    let method = MethodDefinition.streaming("Some") { _, responses, _ in
      for _ in 0..<3 { try await responses.write(ByteBuffer(string: "x")) }
      throw RPCError(.aborted, "enough")
    }
    let count = Count()
    let error = try await withLoopback([method]) { client in
      await status {
        try await client.stream(path: "/test.Service/Some") { _ in
        } responses: { responses in
          for try await _ in responses { count.add(1) }
        }
      }
    }
    #expect(error == RPCError(.aborted, "enough"))
    #expect(count.value == 3)
  }

  @Test("that ends before its request does stops the writer")
  func serverEndsEarly() async throws {
    let method = MethodDefinition.streaming("First") { requests, responses, _ in
      var iterator = requests.makeAsyncIterator()
      if let first = try await iterator.next() { try await responses.write(first) }
    }
    let answer = try await withLoopback([method]) { client in
      try await client.stream(path: "/test.Service/First") { writer in
        while true { try await writer.write(ByteBuffer(repeating: 1, count: 1000)) }
      } responses: { responses in
        try await responses.single().message
      }
    }
    #expect(answer.readableBytes == 1000)
  }

  @Test("fails with what its writer threw")
  func writerThrows() async throws {
    struct BadUpload: Error {}
    let started = Signal()
    let ended = Signal()
    let method = MethodDefinition.streaming("Upload") { requests, _, _ in
      await started.raise()
      do {
        for try await _ in requests {}
      } catch {
        await ended.raise()
        throw error
      }
    }
    try await withLoopback([method]) { client in
      await #expect(throws: BadUpload.self) {
        try await client.stream(path: "/test.Service/Upload") { writer in
          try await writer.write(ByteBuffer(string: "x"))
          await started.wait()
          throw BadUpload()
        } responses: { responses in
          for try await _ in responses {}
        }
      }
      await ended.wait()
    }
  }

  @Test("suspends a server that writes to a reader who does not read")
  func serverBackpressure() async throws {
    let written = Count()
    let method = MethodDefinition.streaming("Flood") { _, responses, _ in
      for _ in 0..<4000 {
        try await responses.write(ByteBuffer(repeating: 1, count: 10_000))
        written.add(10_000)
      }
    }
    var small = RPCClient.Configuration()
    small.http2.streamWindowBytes = 128 << 10
    try await withLoopback([method], configure: { $0.maxOutboundBytes = 64 << 10 }, client: small) { client in
      try await client.stream(path: "/test.Service/Flood") { _ in
      } responses: { responses in
        var iterator = responses.makeAsyncIterator()
        var taken = 0
        while let message = try await iterator.next() {
          taken += message.readableBytes
          // What lies between writer and reader: the window, the queue, and the message that found it full.
          let between = written.value - taken
          #expect(between <= (128 << 10) + (64 << 10) + 2 * 10_000)
        }
        #expect(taken == 40_000_000)
      }
    }
  }

  @Test("suspends a client that writes to a handler that does not read")
  func clientBackpressure() async throws {
    let written = Count()
    let stalled = Signal()
    let method = MethodDefinition.streaming("Sink") { requests, responses, _ in
      // Nothing is read until the writer has stalled, which is when its count stands still.
      await stalled.wait()
      var taken = 0
      for try await message in requests {
        taken += message.readableBytes
        #expect(written.value - taken <= (128 << 10) + (64 << 10) + 2 * 10_000)
      }
      try await responses.write(ByteBuffer(integer: taken))
    }
    let taken = try await withLoopback([method], configure: { $0.http2.streamWindowBytes = 128 << 10 }) {
      client in
      try await client.stream(path: "/test.Service/Sink") { writer in
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask {
            for _ in 0..<1000 {
              try await writer.write(ByteBuffer(repeating: 1, count: 10_000))
              written.add(10_000)
            }
          }
          var before = -1
          while written.value != before || before <= 128 << 10 {
            before = written.value
            _ = try await client.unaryBarrier()
          }
          await stalled.raise()
          try await group.waitForAll()
        }
      } responses: { responses in
        try await responses.single().message.getInteger(at: 0, as: Int.self)
      }
    }
    #expect(taken == 10_000_000)
  }

  @Test("lets other calls of its connection through while it is stalled")
  func otherCallsGoOn() async throws {
    let release = Signal()
    let method = MethodDefinition.streaming("Stall") { requests, _, _ in
      await release.wait()
      for try await _ in requests {}
    }
    try await withLoopback([method, .echo]) { client in
      try await client.stream(path: "/test.Service/Stall") { writer in
        async let upload: Void = {
          for _ in 0..<100 { try await writer.write(ByteBuffer(repeating: 1, count: 10_000)) }
        }()
        for _ in 0..<100 {
          _ = try await client.unary(path: "/test.Service/Echo", request: ByteBuffer(string: "x"))
        }
        await release.raise()
        try await upload
      } responses: { responses in
        for try await _ in responses {}
      }
    }
  }

  @Test("leaves the others their window, however many are stalled with all they may send")
  func manyStalled() async throws {
    let release = Signal()
    let method = MethodDefinition.streaming("Stall") { _, _, _ in await release.wait() }
    let small: @Sendable (inout RPCServer.Configuration) -> Void = {
      $0.http2.streamWindowBytes = 64 << 10
      $0.http2.connectionWindowBytes = 256 << 10
    }
    try await withLoopback([method, .echo], configure: small) { client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        // A window each, more than the connection's in all.
        for _ in 0..<8 {
          let written = Signal()
          group.addTask {
            try await client.stream(path: "/test.Service/Stall") { writer in
              try await writer.write(ByteBuffer(repeating: 1, count: 60_000))
              await written.raise()
            } responses: { responses in
              for try await _ in responses {}
            }
          }
          await written.wait()
        }
        _ = try await client.unary(
          path: "/test.Service/Echo", request: ByteBuffer(repeating: 1, count: 300_000))
        await release.raise()
        try await group.waitForAll()
      }
    }
  }

  @Test("cancelled by its task cancels the handler, which is reading or writing", arguments: [true, false])
  func cancellation(reading: Bool) async throws {
    let started = Signal()
    let ended = Signal()
    let method = MethodDefinition.streaming("Long") { requests, responses, _ in
      await started.raise()
      do {
        if reading {
          for try await _ in requests {}
        } else {
          while true { try await responses.write(ByteBuffer(repeating: 1, count: 10_000)) }
        }
      } catch {
        #expect(Task.isCancelled)
        await ended.raise()
        throw error
      }
    }
    try await withLoopback([method]) { client in
      let call = Task {
        try await client.stream(path: "/test.Service/Long") { _ in
          try await untilCancelled()
        } responses: { _ in
          try await untilCancelled()
        }
      }
      await started.wait()
      call.cancel()
      _ = await call.result
      await ended.wait()
    }
  }
}

extension RPCClient {
  /// A round trip to the server: what was sent before it has had the time to arrive.
  func unaryBarrier() async throws {
    _ = await status { try await self.unary(path: "/none", request: ByteBuffer()) }
  }
}
