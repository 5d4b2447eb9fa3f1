import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP2

@Suite("A batch that connections share")
struct WriteBatchTests {
  @Test("keeps apart what each has written, while none of it has left")
  func shared() throws {
    let windows = [70_000, 80_000, 90_000]
    let batch = WriteBatch()
    let sharing = try windows.map { try connect(window: $0, batch) }
    for (window, channel) in zip(windows, sharing) {
      let alone = try connect(window: window, WriteBatch())
      let written = try channel.readOutbound(as: ByteBuffer.self)
      #expect(written != nil)
      #expect(written == (try alone.readOutbound(as: ByteBuffer.self)))
      _ = try alone.finish()
    }
    for channel in sharing { _ = try channel.finish() }
  }

  /// A server that has said hello: its window is in its SETTINGS.
  private func connect(window: Int, _ batch: WriteBatch) throws -> EmbeddedChannel {
    var configuration = HTTP2Configuration()
    configuration.streamWindowBytes = window
    let http2 = HTTP2Connection(
      role: .server, configuration: configuration, delegate: Recorder(), batch: batch)
    let channel = EmbeddedChannel(handler: http2)
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    return channel
  }
}
