import NIOCore

/// Cuts a stream of bytes into messages: a flag byte, a 32-bit length, the message (PROTOCOL-HTTP2.md,
/// "Length-Prefixed-Message").
struct MessageDeframer {
  let maxMessageBytes: Int
  /// What the peer's headers say of messages whose flag is 1; without it there must be none.
  var encoding = MessageEncoding.identity
  /// The prefix read so far, and how much of it.
  private var prefix: UInt64 = 0
  private var prefixCount = 0
  private var body = ByteBuffer()
  private var missing = 0

  static let prefixBytes = 5

  init(maxMessageBytes: Int) {
    self.maxMessageBytes = maxMessageBytes
  }

  /// No message has been begun and left incomplete.
  var isAtBoundary: Bool { prefixCount == 0 }

  /// Takes bytes from the front of `bytes` until a message is complete or none are left.
  mutating func next(_ bytes: inout UnsafeRawBufferPointer) throws(RPCError) -> WireMessage? {
    guard try readPrefix(&bytes) else { return nil }
    let available = min(missing, bytes.count)
    if available > 0 {
      // Memory follows what has arrived, not what the prefix promises.
      body.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[..<available]))
      bytes = UnsafeRawBufferPointer(rebasing: bytes[available...])
      missing -= available
    }
    guard missing == 0 else { return nil }
    let isCompressed = flag == 1
    reset()
    defer { body = ByteBuffer() }
    return WireMessage(bytes: body, isCompressed: isCompressed)
  }

  /// How many messages the bytes complete, for somebody who keeps them as they came. Not while `next` has part of one.
  mutating func count(_ bytes: UnsafeRawBufferPointer) throws(RPCError) -> Int {
    var bytes = bytes
    var count = 0
    while try readPrefix(&bytes) {
      let available = min(missing, bytes.count)
      bytes = UnsafeRawBufferPointer(rebasing: bytes[available...])
      missing -= available
      guard missing == 0 else { break }
      reset()
      count += 1
    }
    return count
  }

  /// False when the bytes end before the prefix does.
  private mutating func readPrefix(_ bytes: inout UnsafeRawBufferPointer) throws(RPCError) -> Bool {
    while prefixCount < Self.prefixBytes {
      guard let byte = bytes.first else { return false }
      bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
      prefix = prefix << 8 | UInt64(byte)
      prefixCount += 1
      if prefixCount == Self.prefixBytes { try begin() }
    }
    return true
  }

  private mutating func reset() {
    prefix = 0
    prefixCount = 0
  }

  private var flag: UInt8 { UInt8(truncatingIfNeeded: prefix >> 32) }

  private mutating func begin() throws(RPCError) {
    missing = Int(UInt32(truncatingIfNeeded: prefix))
    switch flag {
    case 0: break
    case 1 where encoding == .gzip: break
    case 1: throw RPCError(.internal, "a message says it is compressed, but no grpc-encoding says how")
    default: throw RPCError(.internal, "a message begins with flag \(flag), which is neither 0 nor 1")
    }
    guard missing <= maxMessageBytes else {
      throw RPCError(
        .resourceExhausted, "a message of \(missing) bytes is over the limit of \(maxMessageBytes)")
    }
  }
}
