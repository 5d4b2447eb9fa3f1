import DequeModule
package import NIOCore

/// The bytes of one stream that wait to be sent, cut to the size of a DATA frame as nghttp2 asks for them.
package struct OutboundQueue {
  /// Up to eight bytes that go in front of a body without a buffer of their own, such as gRPC's message prefix.
  package struct Prefix: Sendable {
    /// Left-aligned: the first byte is the most significant one.
    var bits: UInt64
    var count: Int

    package static let none = Prefix(bits: 0, count: 0)

    /// A flag byte and a 32-bit length, big-endian.
    package static func lengthPrefix(flag: UInt8, length: UInt32) -> Prefix {
      Prefix(bits: UInt64(flag) << 56 | UInt64(length) << 24, count: 5)
    }
  }

  private struct Piece {
    var prefix: Prefix
    var body: ByteBuffer
    var count: Int { prefix.count + body.readableBytes }
  }

  /// Kept apart from the others because a unary call has only one: no deque is allocated for it.
  private var first: Piece?
  private var others = Deque<Piece>()

  /// Bytes waiting.
  package private(set) var count = 0

  /// What they occupy. A message of a few bytes is mostly what is kept to know of it.
  package var occupiedBytes: Int { count + others.count * Self.pieceBytes }

  /// For a piece: its entry, the header of its buffer, and what the buffer is larger than its bytes.
  package static let pieceBytes = 128

  package init() {}

  package mutating func append(_ prefix: Prefix, _ body: ByteBuffer) {
    let piece = Piece(prefix: prefix, body: body)
    guard piece.count > 0 else { return }
    count += piece.count
    if first == nil { first = piece } else { others.append(piece) }
  }

  /// Moves exactly `length` bytes, which must be there, to the end of `buffer`.
  package mutating func move(_ length: Int, to buffer: inout ByteBuffer) {
    precondition(length <= count, "asked for more than is queued")
    count -= length
    var left = length
    while left > 0, var piece = first {
      left -= Self.move(atMost: left, from: &piece, to: &buffer)
      first = piece.count > 0 ? piece : others.popFirst()
    }
  }

  package mutating func removeAll() {
    self = OutboundQueue()
  }

  private static func move(atMost limit: Int, from piece: inout Piece, to buffer: inout ByteBuffer) -> Int {
    let head = min(limit, piece.prefix.count)
    if head > 0 {
      // Writes all eight bytes and keeps those that count: one store instead of a loop.
      buffer.setInteger(piece.prefix.bits, at: buffer.writerIndex)
      buffer.moveWriterIndex(forwardBy: head)
      piece.prefix.bits = head < 8 ? piece.prefix.bits << UInt64(head * 8) : 0
      piece.prefix.count -= head
    }
    let tail = min(limit - head, piece.body.readableBytes)
    if tail > 0 {
      piece.body.readWithUnsafeReadableBytes { bytes in
        buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[..<tail]))
        return tail
      }
    }
    return head + tail
  }
}
