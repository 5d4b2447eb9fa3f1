import Gzip
import HTTP2
import NIOCore
import NIOPosix

/// How messages travel: the algorithm a `grpc-encoding` header names (PROTOCOL-HTTP2.md, "Message-Encoding").
package enum MessageEncoding: Sendable, Hashable {
  case identity
  case gzip

  init?(_ name: UnsafeRawBufferPointer) {
    if name.equals("identity") {
      self = .identity
    } else if name.equals("gzip") {
      self = .gzip
    } else {
      return nil
    }
  }

  /// What we tell the peer to send, if it likes.
  static let accepted: StaticString = "identity,gzip"

  /// Whether a `grpc-accept-encoding` has gzip in its list.
  static func acceptsGzip(_ list: UnsafeRawBufferPointer) -> Bool {
    if list.equals(accepted) { return true }
    return list.split(separator: UInt8(ascii: ",")).contains { item in
      let trimmed = item.drop { $0 == UInt8(ascii: " ") }
      return UnsafeRawBufferPointer(rebasing: trimmed.prefix { $0 != UInt8(ascii: " ") }).equals("gzip")
    }
  }
}

/// A message as it travels: its bytes, and the flag in front of them.
struct WireMessage: Sendable {
  var bytes: ByteBuffer
  var isCompressed = false

  var prefix: OutboundQueue.Prefix {
    .lengthPrefix(flag: isCompressed ? 1 : 0, length: UInt32(bytes.readableBytes))
  }
}

extension WireMessage {
  /// Below it gzip's own 18 bytes eat up whatever could be saved.
  private static let leastBytes = 32

  /// Compresses a message, unless that would not make it shorter.
  init(compressing message: ByteBuffer) {
    self.init(bytes: message)
    guard message.readableBytes >= Self.leastBytes else { return }
    var output = ByteBuffer()
    let length = output.writeWithUnsafeMutableBytes(minimumWritableBytes: message.readableBytes - 1) {
      output in
      let room = UnsafeMutableRawBufferPointer(rebasing: output.prefix(message.readableBytes - 1))
      return message.withUnsafeReadableBytes { GzipStates.current.deflater.deflate($0, into: room) ?? 0 }
    }
    guard length > 0 else { return }
    // What was compressed well must not keep the memory of what it was.
    bytes = length < output.storageCapacity / 2 ? ByteBuffer(bytes: output.readableBytesView) : output
    isCompressed = true
  }

  /// The message as it was before it was compressed, of at most `limit` bytes. Memory follows what comes out, not
  /// what the sender may have had in mind.
  func inflated(limit: Int) throws(RPCError) -> ByteBuffer {
    guard isCompressed else { return bytes }
    do throws(GzipInflater.Failure) {
      return try GzipStates.current.inflate(bytes, limit: limit)
    } catch {
      switch error {
      case .corrupt: throw RPCError(.internal, "a message is damaged: it is no gzip")
      case .truncated: throw RPCError(.internal, "a message is damaged: its gzip ends early")
      case .tooLarge(let limit):
        throw RPCError(.resourceExhausted, "a message inflates to more than the limit of \(limit) bytes")
      }
    }
  }
}

/// What zlib needs to work on one message at a time: one for each thread that meets compressed messages, made with
/// the first of them. Used by its thread only.
private final class GzipStates: @unchecked Sendable {
  var deflater = GzipDeflater()
  private var inflater: GzipInflater?

  private static let ofThread = ThreadSpecificVariable<GzipStates>()

  static var current: GzipStates {
    if let known = ofThread.currentValue { return known }
    let states = GzipStates()
    ofThread.currentValue = states
    return states
  }

  func inflate(_ message: ByteBuffer, limit: Int) throws(GzipInflater.Failure) -> ByteBuffer {
    if inflater == nil { inflater = try GzipInflater(limit: limit) }
    inflater?.reset(limit: limit)
    var output = ByteBuffer()
    try message.withUnsafeReadableBytes { message throws(GzipInflater.Failure) in
      var rest = message
      var room = 0
      var count = 0
      repeat {
        // Twice as much each time, and one byte past the limit, which tells that there is more.
        room = min(max(1024, output.readableBytes), limit + 1 - output.readableBytes)
        count = try output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) {
          output throws(GzipInflater.Failure) in
          let output = UnsafeMutableRawBufferPointer(rebasing: output.prefix(room))
          return try inflater?.inflate(&rest, into: output) ?? 0
        }
        // What is used up may leave output inside.
      } while !rest.isEmpty || count == room
      try inflater?.finish()
    }
    return output
  }
}
