internal import CMainstreetProto
internal import RPC

/// Bytes of a peer, taken from the front. Every read is checked against the end.
///
/// Source: https://protobuf.dev/programming-guides/encoding/
struct WireBytes {
  enum WireType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case fixed32 = 5
  }

  struct Tag {
    let number: UInt32
    let type: WireType
  }

  private var next: UnsafeRawPointer
  private let end: UnsafeRawPointer

  init(_ bytes: UnsafeRawBufferPointer) {
    // An empty buffer has no address; any will do, as none of it is read.
    next = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
    end = next + bytes.count
  }

  private init(from start: UnsafeRawPointer, to end: UnsafeRawPointer) {
    next = start
    self.end = end
  }

  var isEmpty: Bool { next == end }
  private var count: Int { end - next }

  mutating func tag() throws(MessageDecodingError) -> Tag {
    guard let tag = UInt32(exactly: try shortVarint()) else {
      throw MessageDecodingError("field number is too large")
    }
    guard tag >> 3 > 0 else { throw MessageDecodingError("field number 0 is not allowed") }
    guard let type = WireType(rawValue: UInt8(tag & 7)) else {
      let isGroup = tag & 7 == 3 || tag & 7 == 4
      throw MessageDecodingError(
        "field \(tag >> 3) has wire type \(tag & 7), which \(isGroup ? "(group) is not supported" : "does not exist")"
      )
    }
    return Tag(number: tag >> 3, type: type)
  }

  @inline(__always)
  mutating func varint() throws(MessageDecodingError) -> UInt64 {
    guard next < end else { throw .truncated }
    let first = next.load(as: UInt8.self)
    if first < 0x80 {
      next += 1
      return UInt64(first)
    }
    return try longVarint()
  }

  /// A varint of a tag or a length, for which protobuf-c reads no more than five bytes.
  @inline(__always)
  private mutating func shortVarint() throws(MessageDecodingError) -> UInt64 {
    let start = next
    let value = try varint()
    guard next - start <= 5 else { throw MessageDecodingError("varint is longer than 32 bits") }
    return value
  }

  private mutating func longVarint() throws(MessageDecodingError) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<10 {
      guard next < end else { throw .truncated }
      let byte = next.load(as: UInt8.self)
      next += 1
      value |= UInt64(byte & 0x7f) << UInt64(7 * index)
      if byte < 0x80 {
        guard index < 9 || byte <= 1 else { break }
        return value
      }
    }
    throw MessageDecodingError("varint is longer than 64 bits")
  }

  mutating func drop(_ size: Int) throws(MessageDecodingError) {
    guard size <= count else { throw .truncated }
    next += size
  }

  mutating func lengthDelimited() throws(MessageDecodingError) -> WireBytes {
    let length = try shortVarint()
    guard length <= UInt64(count) else { throw .truncated }
    let start = next
    next += Int(length)
    return WireBytes(from: start, to: next)
  }

  /// Passes over a field nobody here knows.
  mutating func skip(_ tag: Tag) throws(MessageDecodingError) {
    switch tag.type {
    case .varint: _ = try varint()
    case .fixed64: try drop(8)
    case .fixed32: try drop(4)
    case .lengthDelimited: _ = try lengthDelimited()
    }
  }

  /// That these bytes are a whole number of packed values.
  func checkPacked(kind: Int) throws(MessageDecodingError) {
    switch kind {
    case MAINSTREET_FIXED64:
      guard count % 8 == 0 else { throw .truncated }
    case MAINSTREET_FIXED32:
      guard count % 4 == 0 else { throw .truncated }
    default:
      var rest = self
      while !rest.isEmpty { _ = try rest.varint() }
    }
  }

  /// That these bytes are UTF-8 and hold no NUL, which ends a string in C and is refused by Postgres.
  func checkText() throws(MessageDecodingError) {
    let lows: UInt64 = 0x0101_0101_0101_0101
    let highs: UInt64 = 0x8080_8080_8080_8080
    var rest = self
    // Eight bytes of ASCII without NUL at a time: no high bit set, and none borrowed by taking 1 from each.
    while rest.count >= 8 {
      let word = rest.next.loadUnaligned(as: UInt64.self)
      guard (word | (word &- lows)) & highs == 0 else { break }
      rest.next += 8
    }
    while !rest.isEmpty { try rest.dropScalar() }
  }

  /// Passes over one scalar other than NUL, well-formed as Table 3-7 of the Unicode Standard says.
  private mutating func dropScalar() throws(MessageDecodingError) {
    let first = next.load(as: UInt8.self)
    guard first != 0 else { throw MessageDecodingError("holds a NUL character") }
    next += 1
    guard first >= 0x80 else { return }
    let (following, second): (Int, ClosedRange<UInt8>) =
      switch first {
      case 0xC2...0xDF: (1, 0x80...0xBF)
      case 0xE0: (2, 0xA0...0xBF)
      case 0xED: (2, 0x80...0x9F)
      case 0xE1...0xEF: (2, 0x80...0xBF)
      case 0xF0: (3, 0x90...0xBF)
      case 0xF1...0xF3: (3, 0x80...0xBF)
      case 0xF4: (3, 0x80...0x8F)
      default: (0, 0...0)
      }
    guard following > 0, count >= following, second.contains(next.load(as: UInt8.self)) else {
      throw .notUTF8
    }
    for offset in 1..<max(following, 1) where next.load(fromByteOffset: offset, as: UInt8.self) & 0xC0 != 0x80
    {
      throw .notUTF8
    }
    next += following
  }
}

extension MessageDecodingError {
  fileprivate static let truncated = MessageDecodingError("ends too early")
  fileprivate static let notUTF8 = MessageDecodingError("is not UTF-8")
}
