import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import Edge

/// What the clock does to a connection, on a loop whose time the test sets: no machine is too slow for it.
@Suite struct HTTP1DeadlineTests {
  static let get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"

  @Test("A request that arrives byte by byte is a request")
  func dribble() throws {
    let client = try Client()
    for byte in Self.get.utf8 { try client.send(ByteBuffer(bytes: [byte])) }
    #expect(try client.received().hasPrefix("HTTP/1.1 200 "))
  }

  @Test("A client that is slow with its header block is told so, whatever it trickles")
  func slowHeader() throws {
    let client = try Client()
    try client.send("GET /stores HTTP/1.1\r\n")
    client.pass(.seconds(9))
    try client.send("Ho")
    #expect(try client.received() == "")
    client.pass(.seconds(1))
    #expect(try client.received().hasPrefix("HTTP/1.1 408 "))
    client.pass(.seconds(2))
    #expect(!client.isConnected)
  }

  @Test("The clock of a header block starts with its first byte on a connection in use, too")
  func slowSecondHeader() throws {
    let client = try Client()
    try client.send(Self.get)
    #expect(try client.received().hasPrefix("HTTP/1.1 200 "))
    client.pass(.seconds(50))
    try client.send("GET /stor")
    client.pass(.seconds(9))
    #expect(try client.received() == "")
    client.pass(.seconds(1))
    #expect(try client.received().hasPrefix("HTTP/1.1 408 "))
  }

  @Test("An idle connection is closed without a word")
  func idle() throws {
    let client = try Client()
    try client.send(Self.get)
    #expect(try client.received().hasPrefix("HTTP/1.1 200 "))
    client.pass(.seconds(59))
    #expect(client.isConnected)
    client.pass(.seconds(1))
    #expect(try client.received() == "")
    #expect(!client.isConnected)
  }

  @Test("An upload's client is waited for half a minute, but its service as long as it takes")
  func silentUpload() throws {
    let service = Gate()
    let client = try Client(
      plan: .streamed(maxBytes: 100) { body, _ in
        _ = try? await body.next()
        await service.pass()
        while let piece = try? await body.next(), piece.readableBytes > 0 {}
      })
    try client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
    client.pass(.minutes(5))
    #expect(try client.received() == "")
    service.open()
    for _ in 0..<3 {
      client.pass(.seconds(29))
      try client.send("d")
    }
    client.pass(.seconds(29))
    #expect(try client.received() == "")
    client.pass(.seconds(1))
    #expect(try client.received().hasPrefix("HTTP/1.1 408 "))
  }

  @Test("An upload has an hour altogether, however busily it trickles")
  func endlessUpload() throws {
    let client = try Client(
      plan: .streamed(maxBytes: 1000) { body, _ in
        while let piece = try? await body.next(), piece.readableBytes > 0 {}
      })
    try client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n")
    for _ in 0..<179 {
      client.pass(.seconds(20))
      try client.send("a")
    }
    #expect(try client.received() == "")
    client.pass(.seconds(20))
    #expect(try client.received().hasPrefix("HTTP/1.1 408 "))
  }

  @Test(
    "A client that takes a large answer slowly gets all of it; one that stops is cut off",
    arguments: ["", "Connection: close\r\n"])
  func slowReader(header: String) throws {
    let client = try Client(bodyBytes: 1 << 20)
    client.socket.isFull = true
    client.channel.isWritable = false
    try client.send("GET / HTTP/1.1\r\nHost: test\r\n\(header)\r\n")
    for _ in 0..<10 {
      client.pass(.seconds(29))
      client.socket.take(100)
      client.pass(.seconds(1))
      #expect(client.isConnected)
    }
    client.pass(.seconds(29))
    #expect(client.isConnected)
    client.pass(.seconds(1))
    #expect(!client.isConnected)
  }
}

/// A client of a connection that has the same plan for every request. The tasks of a plan run on the test's thread,
/// when it sends something or lets time pass.
private struct Client {
  let channel: EmbeddedChannel
  let socket = Socket()
  var isConnected: Bool { channel.isActive }

  init(bodyBytes: Int = 2) throws {
    let body = ByteBuffer(repeating: 0x61, count: bodyBytes)
    try self.init(plan: .answered(HTTPResponse(HTTPResponseHead(status: 200), body: body)))
  }

  init(plan: Reception.Plan) throws {
    let core = HTTPCore(
      limits: HTTPLimits(),
      receive: { _, _ in Reception(plan: plan, requestID: "") },
      refuse: { refusal in
        Reception(plan: .answered(HTTPResponse(HTTPResponseHead(status: refusal.status))), requestID: "")
      }, log: { _, _ in })
    channel = EmbeddedChannel()
    try channel.pipeline.syncOperations.addHandlers([
      socket, HTTP1Connection(core, on: channel.eventLoop),
    ])
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
  }

  func send(_ text: String) throws { try send(ByteBuffer(string: text)) }

  func send(_ bytes: ByteBuffer) throws {
    _ = try channel.writeInbound(bytes)
    channel.embeddedEventLoop.run()
  }

  func pass(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }

  /// What has come since the last look.
  func received() throws -> String {
    var text = ""
    while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
    return text
  }
}

/// Where a plan waits until the test opens it.
private final class Gate: Sendable {
  private let waiting = Mutex<CheckedContinuation<Void, Never>?>(nil)

  func pass() async {
    await withCheckedContinuation { continuation in waiting.withLock { $0 = continuation } }
  }

  func open() { waiting.withLock { $0.take() }?.resume() }
}

/// A socket that, once full, holds what is written until the test takes some of it.
private final class Socket: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  var isFull = false
  private var context: ChannelHandlerContext?
  private var unsent: [EventLoopPromise<Void>] = []

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }
  func handlerRemoved(context: ChannelHandlerContext) {
    self.context = nil
    for promise in unsent { promise.fail(ChannelError.ioOnClosedChannel) }
  }

  /// Behind this handler are the channel's own pending writes, which is what counts as its send buffer.
  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if isFull, let promise { unsent.append(promise) }
    context.write(data, promise: isFull ? nil : promise)
  }

  func flush(context: ChannelHandlerContext) {
    if !isFull { context.flush() }
  }

  func take(_ count: Int) {
    guard let context else { return }
    let held = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    context.flush()
    context.write(wrapOutboundOut(ByteBuffer(repeating: 0x61, count: max(0, held - count))), promise: nil)
  }
}
