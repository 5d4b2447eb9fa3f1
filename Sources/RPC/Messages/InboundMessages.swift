import NIOCore

/// Messages received on a call and not yet taken, and the bytes they keep the stream's window charged with.
///
/// Bytes go back to the peer when the messages they made up have been taken, or at once while no message waits:
/// then somebody is ready for the next one, and it could not complete if it were longer than the window.
///
/// A compressed message is inflated when it is taken: what waits occupies what was sent, which flow control bounds.
struct InboundMessages {
  private var deframer: MessageDeframer
  /// A unary call has only this one, cut out as it arrived.
  private var first: WireMessage?
  /// What came behind it, as it came: a message of a few bytes with a buffer of its own would occupy twenty times
  /// what its sender spends on it.
  private var others = ByteBuffer()
  /// How many of `others` are complete.
  private var completeOthers = 0
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

  var count: Int { (first == nil ? 0 : 1) + completeOthers }
  var isEmpty: Bool { first == nil && completeOthers == 0 }
  /// While none has been taken: there is the first, and some or all of another.
  var hasMoreThanOne: Bool { first != nil && others.readableBytes > 0 }
  var isFirstCompressed: Bool { first?.isCompressed == true }
  var isAtBoundary: Bool { deframer.isAtBoundary }

  mutating func receive(_ bytes: UnsafeRawBufferPointer) throws(RPCError) {
    held += bytes.count
    bufferedBytes += bytes.count
    var bytes = bytes
    if first == nil, others.readableBytes == 0 { first = try deframer.next(&bytes) }
    guard !bytes.isEmpty else { return }
    completeOthers += try deframer.count(bytes)
    others.writeBytes(bytes)
  }

  mutating func take() throws(RPCError) -> ByteBuffer? {
    guard let message = first ?? takeOther() else { return nil }
    first = nil
    let count = message.bytes.readableBytes + MessageDeframer.prefixBytes
    bufferedBytes -= count
    returnable += min(held - returnable, count)
    tookCompressed = message.isCompressed
    return message.isCompressed ? try message.inflated(limit: deframer.maxMessageBytes) : message.bytes
  }

  private mutating func takeOther() -> WireMessage? {
    guard completeOthers > 0, let flag = others.readInteger(as: UInt8.self),
      let length = others.readInteger(as: UInt32.self).map(Int.init)
    else { return nil }
    completeOthers -= 1
    let message: ByteBuffer
    if length == others.readableBytes, length > others.storageCapacity / 2 {
      // Nothing else is in the buffer, and little of it would be kept for nothing.
      message = others.slice()
      others = ByteBuffer()
    } else {
      message =
        others.readSlice(length: length).map { ByteBuffer(bytes: $0.readableBytesView) } ?? ByteBuffer()
      releaseTaken()
    }
    return WireMessage(bytes: message, isCompressed: flag == 1)
  }

  /// Moves what is left to a buffer of its size when more than half has been taken, so that each byte is moved
  /// once, on average, and none stays long.
  private mutating func releaseTaken() {
    guard others.readerIndex > max(others.readableBytes, 4096) || others.readableBytes == 0 else { return }
    others = others.readableBytes == 0 ? ByteBuffer() : ByteBuffer(bytes: others.readableBytesView)
  }

  /// Lets go of everything that waits. Its bytes are to be returned now.
  mutating func removeAll() {
    let encoding = encoding
    deframer = MessageDeframer(maxMessageBytes: deframer.maxMessageBytes)
    self.encoding = encoding
    first = nil
    others = ByteBuffer()
    completeOthers = 0
    bufferedBytes = 0
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
