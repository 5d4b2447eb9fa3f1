import DequeModule
import NIOCore

/// Messages received on a call and not yet taken, and the bytes they keep the stream's window charged with.
///
/// Bytes go back to the peer when the messages they made up have been taken, or at once while no message waits:
/// then somebody is ready for the next one, and it could not complete if it were longer than the window.
///
/// A compressed message is inflated when it is taken: what waits occupies what was sent, which flow control bounds.
struct InboundMessages {
  private var deframer: MessageDeframer
  /// Kept apart from the others because a unary call has only one: no deque is allocated for it.
  private var first: WireMessage?
  private var others = Deque<WireMessage>()
  private var held = 0
  /// Bytes received and not yet taken: the memory the call occupies, whatever became of its window.
  private(set) var bufferedBytes = 0
  /// Whether the message taken last came compressed.
  private(set) var tookCompressed = false

  init(maxMessageBytes: Int) {
    deframer = MessageDeframer(maxMessageBytes: maxMessageBytes)
  }

  /// How compressed messages are to be read; known once the headers are.
  var encoding: MessageEncoding {
    get { deframer.encoding }
    set { deframer.encoding = newValue }
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

  mutating func take() throws(RPCError) -> ByteBuffer? {
    guard let message = first else { return nil }
    first = others.popFirst()
    let count = message.bytes.readableBytes + MessageDeframer.prefixBytes
    bufferedBytes -= count
    returnable += min(held - returnable, count)
    tookCompressed = message.isCompressed
    return message.isCompressed ? try message.inflated(limit: deframer.maxMessageBytes) : message.bytes
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
