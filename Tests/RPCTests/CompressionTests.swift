import NIOCore
import NIOPosix
import Testing

@testable import RPC

@Suite("Compression") struct CompressionTests {
  static let zeros = ByteBuffer(repeating: 0, count: 100_000)
  static let random = ByteBuffer(bytes: (0..<100_000).map { _ in UInt8.random(in: 0...255) })
  static let short = ByteBuffer(string: "hello")

  /// Answers with what came, and says in its trailers how.
  static let echo = MethodDefinition.unary("Echo") { message, context in
    context.setTrailingMetadata("request-compressed", "\(context.isRequestCompressed)")
    return message
  }

  @Test(
    "is used for requests that ask for it and for answers in kind, where it saves anything",
    arguments: [
      (MessageEncoding.gzip, zeros, true), (.gzip, random, false), (.gzip, short, false),
      (.gzip, ByteBuffer(), false),
      (.identity, zeros, false), (.identity, short, false),
    ])
  func unary(encoding: MessageEncoding, message: ByteBuffer, isCompressed: Bool) async throws {
    let response = try await withLoopback([Self.echo]) { client in
      try await client.unary(
        path: "/test.Service/Echo", request: message,
        options: CallOptions(policy: CallPolicy(compression: encoding)))
    }
    #expect(response.message == message)
    #expect(response.trailingMetadata["request-compressed"] == "\(isCompressed)")
    #expect(response.isCompressed == isCompressed)
  }

  @Test(
    "of responses follows the server's configuration",
    arguments: [
      (ResponseCompression.inKind, MessageEncoding.identity, false), (.inKind, .gzip, true),
      (.always, .identity, true), (.always, .gzip, true), (.never, .identity, false), (.never, .gzip, false),
    ])
  func policy(policy: ResponseCompression, encoding: MessageEncoding, isCompressed: Bool) async throws {
    let response = try await withLoopback([Self.echo], configure: { $0.responseCompression = policy }) {
      client in
      try await client.unary(
        path: "/test.Service/Echo", request: Self.zeros,
        options: CallOptions(policy: CallPolicy(compression: encoding)))
    }
    #expect(response.isCompressed == isCompressed)
  }

  @Test("of a response is the handler's to choose", arguments: [MessageEncoding.identity, .gzip])
  func handlerChooses(encoding: MessageEncoding) async throws {
    let method = MethodDefinition.unary("Echo") { message, context in
      context.responseEncoding = encoding
      return message
    }
    for requested in [MessageEncoding.identity, .gzip] {
      let response = try await withLoopback([method]) { client in
        try await client.unary(
          path: "/test.Service/Echo", request: Self.zeros,
          options: CallOptions(policy: CallPolicy(compression: requested)))
      }
      #expect(response.message == Self.zeros)
      #expect(response.isCompressed == (encoding == .gzip))
    }
  }

  @Test("is chosen message by message on a stream, both ways")
  func streaming() async throws {
    let method = MethodDefinition.streaming("EchoAll") { requests, responses, context in
      context.responseEncoding = .gzip
      for try await message in requests {
        try await responses.write(message, compressed: context.isRequestCompressed)
      }
    }
    let pattern = [true, false, false, true, true, false]
    let seen = try await withLoopback([method]) { client in
      try await client.stream(
        path: "/test.Service/EchoAll", options: CallOptions(policy: CallPolicy(compression: .gzip))
      ) { requests in
        for isCompressed in pattern { try await requests.write(Self.zeros, compressed: isCompressed) }
      } responses: { responses in
        var seen: [Bool] = []
        for try await message in responses {
          #expect(message == Self.zeros)
          seen.append(await responses.isMessageCompressed)
        }
        return seen
      }
    }
    #expect(seen == pattern)
  }

  @Test("A message over the limit once it is inflated ends its call, on either side")
  func bomb() async throws {
    let large = ByteBuffer(repeating: 0, count: 4_000_000)
    let request = await status {
      try await withLoopback([Self.echo], configure: { $0.maxMessageBytes = 100_000 }) { client in
        try await client.unary(
          path: "/test.Service/Echo", request: large,
          options: CallOptions(policy: CallPolicy(compression: .gzip)))
      }
    }
    #expect(
      request == RPCError(.resourceExhausted, "a message inflates to more than the limit of 100000 bytes"))
    var configuration = RPCClient.Configuration()
    configuration.maxMessageBytes = 100_000
    let method = MethodDefinition.unary("Large") { _, context in
      context.responseEncoding = .gzip
      return large
    }
    let response = await status {
      try await withLoopback([method], client: configuration) { client in
        try await client.unary(path: "/test.Service/Large", request: ByteBuffer())
      }
    }
    #expect(
      response == RPCError(.resourceExhausted, "a message inflates to more than the limit of 100000 bytes"))
  }

  @Test("A message over the limit on a stream ends the call for the handler that reads it")
  func bombOnStream() async throws {
    let seen = Signal()
    let method = MethodDefinition.streaming("EchoAll") { requests, responses, _ in
      do { for try await message in requests { try await responses.write(message) } } catch {
        await seen.raise()
        throw error
      }
    }
    let error = await status {
      try await withLoopback([method], configure: { $0.maxMessageBytes = 100_000 }) { client in
        try await client.stream(
          path: "/test.Service/EchoAll", options: CallOptions(policy: CallPolicy(compression: .gzip))
        ) { requests in
          try await requests.write(Self.zeros)
          try await requests.write(ByteBuffer(repeating: 0, count: 4_000_000))
        } responses: {
          for try await _ in $0 {}
        }
      }
    }
    await seen.wait()
    #expect(error?.code == .resourceExhausted)
  }

  @Test(
    "Memory follows what a message inflates to, not what it could", arguments: [1000, 100_000, 4_000_000])
  func memory(limit: Int) throws {
    let bomb = WireMessage(compressing: ByteBuffer(repeating: 0, count: 100_000_000))
    #expect(bomb.isCompressed)
    #expect(
      throws: RPCError(.resourceExhausted, "a message inflates to more than the limit of \(limit) bytes")
    ) {
      try bomb.inflated(limit: limit)
    }
    let small = try WireMessage(compressing: ByteBuffer(repeating: 0, count: 900)).inflated(limit: limit)
    #expect(small.readableBytes == 900)
    #expect(small.capacity <= 2048)
  }

  @Test("What a message is compressed to occupies little more than its bytes")
  func occupied() {
    let message = WireMessage(compressing: ByteBuffer(repeating: 0, count: 1_000_000))
    #expect(message.isCompressed)
    #expect(message.bytes.storageCapacity < 2 * message.bytes.readableBytes + 64)
  }

  @Test("A message of exactly the limit is let through", arguments: [1023, 1024, 1025, 65_536, 100_000])
  func limit(size: Int) throws {
    let message = WireMessage(compressing: ByteBuffer(repeating: 1, count: size))
    #expect(try message.inflated(limit: size).readableBytes == size)
    #expect(throws: RPCError.self) { try message.inflated(limit: size - 1) }
  }

  @Test("A damaged message is INTERNAL, and the next one is read")
  func damaged() throws {
    let good = WireMessage(compressing: Self.zeros)
    var cut = good
    cut.bytes.moveWriterIndex(to: cut.bytes.readableBytes - 3)
    var changed = good
    changed.bytes.setInteger(UInt8(0xFF), at: good.bytes.readableBytes - 6)
    for damaged in [cut, changed, WireMessage(bytes: Self.short, isCompressed: true)] {
      let error = #expect(throws: RPCError.self) { try damaged.inflated(limit: 1_000_000) }
      #expect(error?.code == .internal)
    }
    #expect(try good.inflated(limit: 1_000_000) == Self.zeros)
  }

  @Test(
    "A list of encodings is searched for gzip",
    arguments: [
      ("identity,gzip", true), ("gzip", true), ("identity, deflate, gzip", true), ("deflate , gzip ,x", true),
      ("identity", false), ("", false), ("gzipped,xgzip", false),
    ])
  func accepted(list: String, acceptsGzip: Bool) {
    #expect(Array(list.utf8).withUnsafeBytes { MessageEncoding.acceptsGzip($0) } == acceptsGzip)
  }
}
