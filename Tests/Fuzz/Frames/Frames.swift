import HTTP2
import NIOCore
import NIOEmbedded

/// Bytes of a peer → HTTP2 → RPC, as a server or as a client.
///
/// The first byte says: bit 0, our role; bit 1, whether the peer introduces itself properly before the input; the
/// rest, how many bytes come at once (0: all).
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeBufferPointer(start: start, count: count)
  guard let flags = bytes.first else { return 0 }
  let isServer = flags & 1 == 0
  let server = isServer ? FuzzedServer() : nil
  let channel: EmbeddedChannel
  do {
    channel = try server?.accept() ?? FuzzedClient().connect()
    if flags & 2 != 0 {
      try channel.writeInbound(ByteBuffer(bytes: isServer ? clientPreface + settings : settings))
    }
    let step = Int(flags >> 2) == 0 ? max(1, count) : Int(flags >> 2)
    var rest = bytes.dropFirst()
    while !rest.isEmpty, channel.isActive {
      try channel.writeInbound(ByteBuffer(bytes: rest.prefix(step)))
      channel.embeddedEventLoop.run()
      rest = rest.dropFirst(step)
    }
  } catch {
    preconditionFailure("the channel does not take bytes: \(error)")
  }
  precondition(written(by: channel) <= 1 << 20, "a few bytes are answered by a flood")
  _ = try? channel.finish(acceptAlreadyClosed: true)
  channel.embeddedEventLoop.run()
  server?.checkQuiet()
  return 0
}

private let clientPreface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
private let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]

private func written(by channel: EmbeddedChannel) -> Int {
  var count = 0
  while let bytes = try? channel.readOutbound(as: ByteBuffer.self) { count += bytes.readableBytes }
  return count
}
