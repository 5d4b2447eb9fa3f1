import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP2

@Suite("An HTTP/2 connection") struct HTTP2ConnectionTests {
  @Test(
    "carries a request and a response, the trailers behind the data",
    arguments: [0, 1, 16_384, 16_385, 200_000])
  func exchange(size: Int) throws {
    let pair = try Pair()
    let (stream, recorder) = try pair.open()
    stream.write(.lengthPrefix(flag: 0, length: 7), ByteBuffer(repeating: 1, count: size))
    stream.finish(trailers: nil)
    try pair.settle()
    let (answer, request) = try #require(pair.server.streams.first)
    #expect(request.fields == [":method: POST", ":scheme: http", ":path: /", ":authority: a"])
    #expect(request.bytes == size + 5)
    #expect(request.isEnded)
    answer.consume(size + 5)
    answer.respond(Pair.response, endStream: false)
    var trailers: HeaderBlock = ["grpc-status": "0"]
    trailers.add("x".utf8, "y".utf8)
    answer.write(.none, ByteBuffer(repeating: 2, count: 60_000))
    answer.finish(trailers: trailers)
    try pair.settle()
    #expect(recorder.fields == [":status: 200", "grpc-status: 0", "x: y", "(trailing)"])
    #expect(recorder.bytes == 60_000)
    #expect(recorder.closeCode == .noError)
    #expect(request.closeCode == .noError)
  }

  @Test("holds data back at the stream's window until the reader consumes")
  func streamWindow() throws {
    let pair = try Pair { $0.streamWindowBytes = 100_000 }
    let (stream, _) = try pair.open()
    stream.write(.none, ByteBuffer(repeating: 1, count: 1_000_000))
    try pair.settle()
    let (answer, request) = try #require(pair.server.streams.first)
    #expect(request.bytes == 100_000)
    #expect(stream.queuedBytes == 900_000)
    answer.consume(60_000)
    try pair.settle()
    #expect(request.bytes == 160_000)
    // Operations on a stream that has gone do nothing.
    stream.reset(.cancel)
    try pair.settle()
    #expect(request.closeCode == .cancel)
    answer.consume(1)
    answer.write(.none, ByteBuffer(string: "late"))
    answer.finish(trailers: nil)
    try pair.settle()
  }

  @Test("gives the connection back the bytes of streams that end unread")
  func connectionWindow() throws {
    let pair = try Pair {
      $0.streamWindowBytes = 100_000
      $0.connectionWindowBytes = 150_000
    }
    for index in 0..<20 {
      let (stream, _) = try pair.open()
      stream.write(.none, ByteBuffer(repeating: 1, count: 90_000))
      try pair.settle()
      #expect(pair.server.streams[index].recorder.bytes == 90_000)
      stream.reset(.cancel)
      try pair.settle()
    }
  }

  @Test("holds no stream up for what the readers of others leave unread")
  func unreadStreams() throws {
    let pair = try Pair {
      $0.streamWindowBytes = 100_000
      $0.connectionWindowBytes = 150_000
    }
    for index in 0..<20 {
      let (stream, _) = try pair.open()
      stream.write(.none, ByteBuffer(repeating: 1, count: 200_000))
      try pair.settle()
      #expect(pair.server.streams[index].recorder.bytes == 100_000)
    }
  }

  @Test("has a client that cancels often wait with it, and does not end its requests instead")
  func pacedCancellations() throws {
    let pair = try Pair(client: {
      $0.cancellations = RateLimit(burst: 2, perSecond: 2)
      $0.probeInterval = .seconds(1)
    })
    let calls = try (0..<5).map { _ in try pair.open() }
    for (stream, _) in calls { stream.write(.none, ByteBuffer(string: "half")) }
    try pair.settle()
    for (stream, _) in calls { stream.reset(.cancel) }
    // Whatever is said of such a stream afterwards is not sent.
    for (stream, _) in calls { stream.write(.none, ByteBuffer(string: "more")) }
    for (stream, _) in calls { stream.finish(trailers: nil) }
    try pair.settle()
    func cancelled() -> [Int] {
      pair.server.streams.indices.filter { pair.server.streams[$0].recorder.closeCode == .cancel }
    }
    #expect(cancelled() == [0, 1])
    #expect(pair.server.streams.allSatisfy { $0.recorder.bytes == 4 && !$0.recorder.isEnded })
    // The third ends by itself meanwhile.
    pair.server.streams[2].stream.respond(Pair.response, endStream: true)
    try pair.settle()
    #expect(calls[2].1.closeCode == .noError)
    pair.loop.advanceTime(by: .milliseconds(600))
    try pair.settle()
    #expect(cancelled() == [0, 1, 3])
    pair.loop.advanceTime(by: .seconds(1))
    try pair.settle()
    #expect(cancelled() == [0, 1, 3, 4])
  }

  @Test("tells a client that still sends to stop, after the response has arrived", arguments: [true, false])
  func earlyAnswer(hasBody: Bool) throws {
    let pair = try Pair()
    let (_, recorder) = try pair.open()
    try pair.settle()
    let (answer, request) = try #require(pair.server.streams.first)
    answer.respond(Pair.response, endStream: !hasBody)
    if hasBody {
      answer.write(.none, ByteBuffer(string: "enough"))
      answer.finish(trailers: nil)
    }
    try pair.settle()
    #expect(recorder.fields == [":status: 200"])
    #expect(recorder.isEnded)
    #expect(recorder.closeCode == .noError)
    #expect(request.closeCode == .noError)
  }

  @Test("ends when a header list is far over the limit")
  func headerFlood() throws {
    let pair = try Pair { $0.maxHeaderListBytes = 1000 }
    var headers = Pair.request
    for index in 0..<200 { headers.add("x-\(index)".utf8, "y".utf8) }
    _ = try pair.open(headers)
    try pair.settle()
    #expect(pair.server.isClosed)
    pair.loop.advanceTime(by: .seconds(1))
    #expect(!pair.serverChannel.isActive)
    #expect(pair.serverHTTP2.closeReason?.contains("header list") == true)
    #expect(pair.clientHTTP2.closeReason?.contains("ENHANCE_YOUR_CALM") == true)
  }

  @Test("drains in two steps: a stream opened before the notice arrived is served")
  func drain() throws {
    let pair = try Pair()
    pair.serverHTTP2.drain()
    // The client does not know yet.
    let (stream, recorder) = try pair.open()
    stream.finish(trailers: nil)
    try pair.settle()
    #expect(pair.client.goAways == 2)
    #expect(pair.clientHTTP2.open(Pair.request, delegate: StreamRecorder()) != nil)
    try pair.settle()
    #expect(pair.server.streams.count == 1)
    #expect(pair.serverChannel.isActive)
    pair.server.streams[0].stream.respond(Pair.response, endStream: true)
    try pair.settle()
    #expect(recorder.fields == [":status: 200"])
    #expect(recorder.closeCode == .noError)
    #expect(pair.server.isClosed)
    #expect(pair.client.isClosed)
  }

  @Test("closes its streams when it is lost")
  func lost() throws {
    let pair = try Pair()
    let (stream, recorder) = try pair.open()
    try pair.settle()
    pair.clientChannel.close(promise: nil)
    pair.loop.run()
    #expect(recorder.closeCode == .connectError)
    stream.write(.none, ByteBuffer(string: "late"))
    stream.reset(.cancel)
    #expect(pair.client.isClosed)
  }

  @Test("asks nothing of a peer that speaks another protocol")
  func notHTTP2() throws {
    let server = Recorder()
    let channel = EmbeddedChannel(
      handler: HTTP2Connection(role: .server, configuration: HTTP2Configuration(), delegate: server))
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    try channel.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    channel.embeddedEventLoop.run()
    #expect(!channel.isActive)
    #expect(server.isClosed)
  }

  @Test("resets the one stream whose answer has a header list far over the limit")
  func headerFloodFromServer() throws {
    let pair = try Pair()
    let (request, flooded) = try pair.open()
    request.finish(trailers: nil)
    let (_, other) = try pair.open()
    try pair.settle()
    var headers = Pair.response
    headers.add("x-long".utf8, [UInt8](repeating: UInt8(ascii: "x"), count: 40_000))
    headers.add("x-after", "1")
    pair.server.streams[0].stream.respond(headers, endStream: true)
    pair.server.streams[1].stream.respond([":status": "200", "x-after": "1"], endStream: true)
    try pair.settle()
    #expect(flooded.fields == [":status: 200"])
    #expect(!flooded.isEnded)
    #expect(flooded.closeCode == .enhanceYourCalm)
    #expect(other.fields == [":status: 200", "x-after: 1"])
    #expect(other.closeCode == .noError)
    #expect(pair.clientChannel.isActive)
  }

  @Test("ends a stream whose headers are too long to be sent", arguments: ["headers", "trailers"])
  func unsentResponse(what: String) throws {
    let pair = try Pair()
    let (_, recorder) = try pair.open()
    try pair.settle()
    let answer = try #require(pair.server.streams.first).stream
    if what == "headers" {
      answer.respond(Self.tooLong(Pair.response), endStream: false)
    } else {
      answer.respond(Pair.response, endStream: false)
      answer.finish(trailers: Self.tooLong([:]))
    }
    try pair.settle()
    #expect(recorder.closeCode == .internalError)
    #expect(pair.server.streams[0].recorder.closeCode == .internalError)
    #expect(pair.serverHTTP2.streamCount == 0)
    #expect(pair.clientChannel.isActive)
  }

  @Test("ends a stream whose request is too long to be sent, and opens others")
  func unsentRequest() throws {
    let pair = try Pair()
    let (stream, recorder) = try pair.open(Self.tooLong(Pair.request))
    stream.write(.none, ByteBuffer(string: "body"))
    stream.finish(trailers: nil)
    try pair.settle()
    #expect(recorder.closeCode == .internalError)
    #expect(pair.clientHTTP2.streamCount == 0)
    _ = try pair.open()
    try pair.settle()
    #expect(pair.server.streams.count == 1)
  }

  private static func tooLong(_ headers: HeaderBlock) -> HeaderBlock {
    var headers = headers
    // nghttp2 refuses to send a list of more than 64 KiB.
    headers.add("x-long", [UInt8](repeating: UInt8(ascii: "x"), count: 70_000))
    return headers
  }

  @Test("told to drain while it is being set up drains as soon as it is")
  func drainBeforeStart() throws {
    let server = Recorder()
    let http2 = HTTP2Connection(role: .server, configuration: HTTP2Configuration(), delegate: server)
    let channel = EmbeddedChannel(handler: http2)
    http2.drain()
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    channel.embeddedEventLoop.run()
    let frames = try #require(try channel.readOutbound(as: ByteBuffer.self)).readableBytesView
    // The notice is a GOAWAY that names no stream.
    #expect(Array(frames).contains([0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]))
    _ = try channel.finish()
  }

  @Test("goes on reading as a client, or two full sockets would wait for each other for ever")
  func unwritableClientReads() throws {
    for (role, expected) in [(HTTP2Connection.Role.client, 1), (.server, 0)] {
      let reads = ReadCounter()
      let http2 = HTTP2Connection(role: role, configuration: HTTP2Configuration(), delegate: Recorder())
      let channel = EmbeddedChannel(handlers: [reads, http2])
      channel.isWritable = false
      channel.read()
      #expect(reads.count == expected)
      _ = try channel.finish()
    }
  }

  @Test("neither reads nor writes while the socket takes nothing")
  func unwritable() throws {
    let pair = try Pair()
    let (stream, _) = try pair.open()
    stream.finish(trailers: nil)
    try pair.settle()
    let answer = try #require(pair.server.streams.first).stream
    pair.serverChannel.isWritable = false
    answer.respond(Pair.response, endStream: false)
    answer.write(.none, ByteBuffer(repeating: 1, count: 50_000))
    pair.loop.run()
    #expect(try pair.serverChannel.readOutbound(as: ByteBuffer.self) == nil)
    #expect(answer.queuedBytes == 50_000)
    pair.serverChannel.isWritable = true
    pair.serverChannel.pipeline.fireChannelWritabilityChanged()
    #expect(try pair.serverChannel.readOutbound(as: ByteBuffer.self) != nil)
    #expect(answer.queuedBytes == 0)
  }
}
