import DequeModule
import NIOCore

/// Messages received on a call and not yet taken, and the bytes they keep the stream's window charged with.
///
/// Bytes go back to the peer when the messages they made up have been taken, or at once while no message waits:
/// then somebody is ready for the next one, and it could not complete if it were longer than the window.
struct InboundMessages {
  private var deframer: MessageDeframer
  /// Kept apart from the others because a unary call has only one: no deque is allocated for it.
  private var first: ByteBuffer?
  private var others = Deque<ByteBuffer>()
  private var held = 0
  /// Bytes received and not yet taken: the memory the call occupies, whatever became of its window.
  private(set) var bufferedBytes = 0

  init(maxMessageBytes: Int) {
    deframer = MessageDeframer(maxMessageBytes: maxMessageBytes)
  }

  var isEmpty: Bool { first == nil }
  var count: Int { (first == nil ? 0 : 1) + others.count }
  var isAtBoundary: Bool { deframer.isAtBoundary }

  mutating func receive(_ bytes: UnsafeRawBufferPointer) throws(RPCError) {
    held += bytes.count
    bufferedBytes += bytes.count
    var bytes = bytes
    while let message = try deframer.next(&bytes) {
      if first == nil { first = message } else { others.append(message) }
    }
  }

  mutating func take() -> ByteBuffer? {
    guard let message = first else { return nil }
    first = others.popFirst()
    let count = message.readableBytes + MessageDeframer.prefixBytes
    bufferedBytes -= count
    returnable += min(held - returnable, count)
    return message
  }

  private var returnable = 0

  /// How many bytes the window should get back now; each is told once.
  mutating func takeReturnable() -> Int {
    let count = isEmpty ? held : returnable
    held -= count
    returnable = 0
    return count
  }
}
