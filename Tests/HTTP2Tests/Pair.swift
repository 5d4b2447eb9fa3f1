import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP2

/// A client and a server connection whose bytes are carried between them by hand, one step at a time.
final class Pair {
  let loop = EmbeddedEventLoop()
  let client = Recorder()
  let server = Recorder()
  let clientChannel: EmbeddedChannel
  let serverChannel: EmbeddedChannel
  let clientHTTP2: HTTP2Connection
  let serverHTTP2: HTTP2Connection

  init(
    _ configure: (inout HTTP2Configuration) -> Void = { _ in },
    client configureClient: (inout HTTP2Configuration) -> Void = { _ in }
  ) throws {
    var configuration = HTTP2Configuration()
    configure(&configuration)
    var clientConfiguration = HTTP2Configuration()
    configureClient(&clientConfiguration)
    clientHTTP2 = HTTP2Connection(role: .client, configuration: clientConfiguration, delegate: client)
    serverHTTP2 = HTTP2Connection(role: .server, configuration: configuration, delegate: server)
    clientChannel = EmbeddedChannel(handler: clientHTTP2, loop: loop)
    serverChannel = EmbeddedChannel(handler: serverHTTP2, loop: loop)
    let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
    clientChannel.connect(to: address, promise: nil)
    serverChannel.connect(to: address, promise: nil)
    try settle()
  }

  deinit {
    // A channel that stays open keeps itself alive.
    _ = try? clientChannel.finish(acceptAlreadyClosed: true)
    _ = try? serverChannel.finish(acceptAlreadyClosed: true)
  }

  /// Carries bytes until neither side has anything to say.
  func settle() throws {
    var moved = true
    while moved {
      loop.run()
      moved = try carry(from: clientChannel, to: serverChannel)
      moved = try carry(from: serverChannel, to: clientChannel) || moved
    }
  }

  private func carry(from source: EmbeddedChannel, to target: EmbeddedChannel) throws -> Bool {
    var moved = false
    while let bytes = try source.readOutbound(as: ByteBuffer.self) {
      if bytes.readableBytes > 0, target.isActive { try target.writeInbound(bytes) }
      moved = true
    }
    return moved
  }

  func open(_ headers: HeaderBlock = request) throws -> (HTTP2Stream, StreamRecorder) {
    let recorder = StreamRecorder()
    let stream = try #require(clientHTTP2.open(headers, delegate: recorder))
    return (stream, recorder)
  }

  static let request: HeaderBlock = [":method": "POST", ":scheme": "http", ":path": "/", ":authority": "a"]
  static let response: HeaderBlock = [":status": "200"]
}

final class Recorder: HTTP2ConnectionDelegate {
  var streams: [(stream: HTTP2Stream, recorder: StreamRecorder)] = []
  var goAways = 0
  var isClosed = false

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
    let recorder = StreamRecorder()
    streams.append((stream, recorder))
    return recorder
  }
  func inboundBatchEnded() {}
  func settingsReceived() {}
  func goAwayReceived() { goAways += 1 }
  func connectionClosed() { isClosed = true }
}

final class StreamRecorder: HTTP2StreamDelegate {
  var fields: [String] = []
  var bytes = 0
  var isEnded = false
  var moves = 0
  var closeCode: HTTP2ErrorCode?

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    fields.append("\(String(decoding: name, as: UTF8.self)): \(String(decoding: value, as: UTF8.self))")
  }
  func headersEnded(trailing: Bool) { if trailing { fields.append("(trailing)") } }
  func received(data: UnsafeRawBufferPointer) { bytes += data.count }
  func inboundEnded() { isEnded = true }
  func outboundMoved() { moves += 1 }
  func closed(_ code: HTTP2ErrorCode) { closeCode = code }
}

/// Stands where the socket is.
final class ReadCounter: ChannelOutboundHandler {
  typealias OutboundIn = ByteBuffer
  var count = 0

  func read(context: ChannelHandlerContext) {
    count += 1
    context.read()
  }
}
