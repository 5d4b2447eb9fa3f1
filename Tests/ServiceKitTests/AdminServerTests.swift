import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import ServiceKit

@Suite("The admin port") struct AdminServerTests {
  private let loop = EmbeddedEventLoop()

  private func connect() throws -> EmbeddedChannel {
    let handler = AdminHandler(
      readiness: Readiness(promised: [], readyFile: nil), metrics: MetricsRegistry(), rpc: ServedRPC())
    let channel = EmbeddedChannel(loop: loop)
    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
    try channel.pipeline.syncOperations.addHandler(handler)
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    return channel
  }

  private func send(_ text: String, _ channel: EmbeddedChannel) throws {
    try channel.writeInbound(ByteBuffer(string: text))
  }

  @Test("closes a connection whose request takes longer than 20 seconds, however steadily it comes")
  func slowRequest() throws {
    let channel = try connect()
    try send("GET /livez HTTP/1.1\r\n", channel)
    for _ in 0..<19 {
      loop.advanceTime(by: .seconds(1))
      try send("x: y\r\n", channel)
    }
    #expect(channel.isActive)
    loop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
  }

  @Test("keeps a connection for 20 seconds from one answer to the end of the next request")
  func keepAlive() throws {
    let channel = try connect()
    for _ in 0..<3 {
      loop.advanceTime(by: .seconds(19))
      try send("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n", channel)
      let answer = try #require(try channel.readOutbound(as: ByteBuffer.self))
      #expect(String(buffer: answer).hasPrefix("HTTP/1.1 200 OK"))
      while try channel.readOutbound(as: ByteBuffer.self) != nil {}
    }
    #expect(channel.isActive)
    loop.advanceTime(by: .seconds(20))
    #expect(!channel.isActive)
  }

  @Test("has places for so many connections, and for others when one is closed")
  func places() throws {
    let connections = ConnectionCount()
    let channels = (0..<3).map { _ in EmbeddedChannel(loop: loop) }
    #expect(channels.map { connections.add($0, limit: 2) } == [true, true, false])
    // The one too many is closed as well.
    for channel in channels.dropFirst() { _ = try channel.finish() }
    #expect(connections.add(EmbeddedChannel(loop: loop), limit: 2))
    _ = try channels[0].finish()
  }
}
