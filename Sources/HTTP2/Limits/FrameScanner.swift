/// The head of a frame (RFC 9113, 4.1).
struct FrameHead: Equatable {
  var length: Int
  var type: UInt8
  var flags: UInt8
  var stream: Int32

  func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

  static let data: UInt8 = 0x0
  static let headers: UInt8 = 0x1
  static let settings: UInt8 = 0x4
  static let continuation: UInt8 = 0x9

  static let ack: UInt8 = 0x1
  static let endHeaders: UInt8 = 0x4
  static let padded: UInt8 = 0x8

  static let byteCount = 9
}

/// Finds the frames in the bytes a peer sends, before nghttp2 sees them.
///
/// nghttp2 keeps silent about what it ignores: frames of unknown types, DATA and HEADERS of streams that have gone,
/// everything after the last GOAWAY. Those are what a flood is made of, so they are counted here, where nothing can be
/// left out. Bytes that are no HTTP/2 give heads that mean nothing; nghttp2 then ends the connection.
struct FrameScanner {
  /// Bytes to pass over: of the client's preface, or of a frame whose head has been seen.
  private var skip: Int
  /// The beginning of a head that the last read cut in two.
  private var partial: (bytes: (UInt64, UInt8), count: Int) = ((0, 0), 0)
  private var last = FrameHead(length: 0, type: FrameHead.data, flags: 0, stream: 0)

  /// Header blocks begun so far; tells one that is still unfinished from the next.
  private(set) var headerBlocks = 0

  /// `prefaceBytes`: what comes before the first frame, 24 from a client and none from a server.
  init(prefaceBytes: Int) {
    skip = prefaceBytes
  }

  static let clientPrefaceBytes = 24

  /// A header list has begun and its last frame is not here to its end.
  var isInHeaderBlock: Bool {
    guard last.type == FrameHead.headers || last.type == FrameHead.continuation else { return false }
    return skip > 0 || !last.has(FrameHead.endHeaders)
  }

  /// Calls `body` with the head of each frame that begins in `bytes`, until it returns false.
  mutating func scan(_ bytes: UnsafeRawBufferPointer, _ body: (FrameHead) -> Bool) {
    // Every byte a peer sends passes here: what the loop needs is in registers, and goes back at its end.
    var offset = skip
    var last = last
    defer {
      skip = max(offset - bytes.count, 0)
      self.last = last
    }
    while offset < bytes.count {
      guard let head = nextHead(bytes, &offset) else { return }
      offset += head.length
      if head.type == FrameHead.headers { headerBlocks += 1 }
      last = head
      guard body(head) else { return }
    }
  }

  @inline(__always)
  private mutating func nextHead(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> FrameHead? {
    if partial.count == 0, bytes.count - offset >= FrameHead.byteCount {
      defer { offset += FrameHead.byteCount }
      return FrameHead(
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)), bytes[offset + 8])
    }
    return gatherHead(bytes, &offset)
  }

  /// The head was cut in two by the end of a read, or is now.
  @inline(never)
  private mutating func gatherHead(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> FrameHead? {
    while partial.count < FrameHead.byteCount {
      guard offset < bytes.count else { return nil }
      if partial.count < 8 {
        partial.bytes.0 = partial.bytes.0 << 8 | UInt64(bytes[offset])
      } else {
        partial.bytes.1 = bytes[offset]
      }
      partial.count += 1
      offset += 1
    }
    defer { partial = ((0, 0), 0) }
    return FrameHead(partial.bytes.0, partial.bytes.1)
  }
}

extension FrameHead {
  /// From its first eight bytes, and the ninth.
  init(_ first: UInt64, _ ninth: UInt8) {
    length = Int(first >> 40)
    type = UInt8(truncatingIfNeeded: first >> 32)
    flags = UInt8(truncatingIfNeeded: first >> 24)
    stream = Int32(truncatingIfNeeded: (first & 0x7f_ffff) << 8 | UInt64(ninth))
  }
}
