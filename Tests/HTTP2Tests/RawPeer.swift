import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP2

/// A peer that writes frames by hand, honest or not, and the connection it talks to.
final class RawPeer {
  let delegate = Recorder()
  let http2: HTTP2Connection
  let channel: EmbeddedChannel
  let loop = EmbeddedEventLoop()
  let socket = Socket()
  /// What the connection has sent so far.
  private(set) var answers: [Frame] = []
  private var unparsed = ByteBuffer()

  /// `role` is the connection's; the peer has the other.
  init(role: HTTP2Connection.Role = .server, _ configure: (inout HTTP2Configuration) -> Void = { _ in })
    throws
  {
    var configuration = HTTP2Configuration()
    configure(&configuration)
    http2 = HTTP2Connection(role: role, configuration: configuration, delegate: delegate)
    channel = EmbeddedChannel(handlers: [socket, http2], loop: loop)
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
  }

  deinit {
    _ = try? channel.finish(acceptAlreadyClosed: true)
  }

  /// Says hello as HTTP/2 wants it.
  func introduce() throws {
    if http2.role == .server { try write(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)) }
    try send(.settings(), .settingsAck)
  }

  /// One read of the connection.
  func send(_ frames: Frame...) throws { try write(frames.flatMap(\.bytes)) }

  func send(_ count: Int, _ frame: (Int) -> Frame) throws {
    try write((0..<count).flatMap { frame($0).bytes })
  }

  func write(_ bytes: [UInt8]) throws {
    guard channel.isActive else { return }
    try channel.writeInbound(ByteBuffer(bytes: bytes))
    loop.run()
    try read()
  }

  func advance(_ time: TimeAmount) throws {
    loop.advanceTime(by: time)
    try read()
  }

  private func read() throws {
    while var bytes = try channel.readOutbound(as: ByteBuffer.self) {
      // A client begins with its preface.
      if answers.isEmpty, unparsed.readableBytes == 0, http2.role == .client {
        bytes.moveReaderIndex(forwardBy: 24)
      }
      unparsed.writeBuffer(&bytes)
    }
    while let frame = Frame(&unparsed) { answers.append(frame) }
  }

  /// The error the connection was ended with, and the words that came along.
  var goAway: (code: HTTP2ErrorCode, debug: String)? {
    guard let frame = answers.last(where: { $0.type == 7 }) else { return nil }
    return (frame.code(at: 4), String(decoding: frame.payload.dropFirst(8), as: UTF8.self))
  }

  func resets(_ stream: Int32) -> [HTTP2ErrorCode] {
    answers.filter { $0.type == 3 && $0.stream == stream }.map { $0.code(at: 0) }
  }
}

/// A socket whose buffers may be full, though the channel takes some more.
final class Socket: ChannelOutboundHandler {
  typealias OutboundIn = ByteBuffer
  var isFull = false
  var afterWrite: () -> Void = {}

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    context.write(data, promise: promise)
    afterWrite()
  }

  func flush(context: ChannelHandlerContext) {
    if !isFull { context.flush() }
  }

  /// What waits in an embedded channel when it closes would keep whoever wrote it.
  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    context.flush()
    context.close(mode: mode, promise: promise)
  }
}

struct Frame: Equatable {
  var type: UInt8
  var flags: UInt8 = 0
  var stream: Int32 = 0
  var payload: [UInt8] = []

  var bytes: [UInt8] {
    Self.big(UInt32(payload.count)).dropFirst() + [type, flags] + Self.big(UInt32(bitPattern: stream))
      + payload
  }

  func code(at offset: Int) -> HTTP2ErrorCode {
    HTTP2ErrorCode(rawValue: payload[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) })
  }

  static func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
}

extension Frame {
  init?(_ buffer: inout ByteBuffer) {
    guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self).map({ Int($0 >> 8) }),
      buffer.readableBytes >= 9 + length, buffer.readBytes(length: 3) != nil,
      let type = buffer.readInteger(as: UInt8.self), let flags = buffer.readInteger(as: UInt8.self),
      let stream = buffer.readInteger(as: Int32.self), let payload = buffer.readBytes(length: length)
    else { return nil }
    self.init(type: type, flags: flags, stream: stream, payload: payload)
  }

  static func settings(_ entries: [(UInt16, UInt32)] = []) -> Frame {
    Frame(type: 4, payload: entries.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] + big($1) })
  }
  static let settingsAck = Frame(type: 4, flags: 1)
  static let ping = Frame(type: 6, payload: [0, 1, 2, 3, 4, 5, 6, 7])

  /// ":method: POST, :scheme: http, :path: /" from HPACK's static table, and an authority.
  static let requestBlock: [UInt8] = [0x83, 0x86, 0x84, 0x01, 0x01, 0x61]

  static func request(_ stream: Int32, end: Bool = false, block: [UInt8] = requestBlock) -> Frame {
    Frame(type: 1, flags: end ? 5 : 4, stream: stream, payload: block)
  }
  static func data(_ stream: Int32, _ count: Int = 0, end: Bool = false) -> Frame {
    Frame(type: 0, flags: end ? 1 : 0, stream: stream, payload: [UInt8](repeating: 0, count: count))
  }
  static func reset(_ stream: Int32, _ code: HTTP2ErrorCode = .cancel) -> Frame {
    Frame(type: 3, stream: stream, payload: big(code.rawValue))
  }
  static func windowUpdate(_ stream: Int32, _ increment: UInt32) -> Frame {
    Frame(type: 8, stream: stream, payload: big(increment))
  }
  static func priority(_ stream: Int32) -> Frame {
    Frame(type: 2, stream: stream, payload: [0, 0, 0, 0, 1])
  }
}
