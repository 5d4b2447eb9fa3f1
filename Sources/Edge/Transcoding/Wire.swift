import NIOCore

/// How a protobuf field's value is framed (protobuf encoding guide, "Message structure").
enum WireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case length = 2
  case fixed32 = 5
}

extension ByteBuffer {
  mutating func writeTag(_ number: Int, _ type: WireType) {
    writeVarint(UInt64(number) << 3 | UInt64(type.rawValue))
  }

  mutating func writeVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    writeInteger(UInt8(truncatingIfNeeded: rest))
  }

  /// Leaves room for the length of what follows; `closeLength` fills it in.
  ///
  /// One byte is reserved because nearly every submessage is shorter than 128 bytes. A longer one is
  /// moved up once when it closes, which costs less than measuring all of them beforehand.
  mutating func openLength() -> Int {
    let mark = writerIndex
    writeInteger(UInt8(0))
    return mark
  }

  mutating func closeLength(_ mark: Int) {
    let count = writerIndex - mark - 1
    if count < 0x80 {
      setInteger(UInt8(count), at: mark)
      return
    }
    let extra = (count.bitWidth - count.leadingZeroBitCount + 6) / 7 - 1
    writeRepeatingByte(0, count: extra)
    let content = mark + 1 - readerIndex
    withUnsafeMutableReadableBytes { bytes in
      let target = UnsafeMutableRawBufferPointer(rebasing: bytes[(content + extra)...])
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[content..<content + count]))
    }
    var rest = count
    for index in mark..<mark + extra {
      setInteger(UInt8(truncatingIfNeeded: rest) | 0x80, at: index)
      rest >>= 7
    }
    setInteger(UInt8(rest), at: mark + extra)
  }

  /// Appends length and bytes.
  mutating func writeDelimited(_ bytes: some Collection<UInt8>) {
    writeVarint(UInt64(bytes.count))
    writeBytes(bytes)
  }

  mutating func writeDelimited(_ bytes: UnsafeRawBufferPointer) {
    writeVarint(UInt64(bytes.count))
    writeBytes(bytes)
  }
}

/// Bytes a service answered with that are no message of the type its method declares.
struct MalformedMessage: Error, Equatable {
  var reason: String
}

/// Walks the fields of one encoded message. Every length is checked before it is used.
struct WireReader {
  let bytes: UnsafeRawBufferPointer
  var position: Int
  let end: Int

  init(_ bytes: UnsafeRawBufferPointer, range: Range<Int>) {
    self.bytes = bytes
    self.position = range.lowerBound
    self.end = range.upperBound
  }

  var isAtEnd: Bool { position >= end }

  @inline(__always)
  mutating func varint() throws(MalformedMessage) -> UInt64 {
    if position < end, bytes[position] < 0x80 {
      defer { position += 1 }
      return UInt64(bytes[position])
    }
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end, shift < 70 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw MalformedMessage(reason: "varint cut short or too long")
  }

  @inline(__always)
  mutating func tag() throws(MalformedMessage) -> (number: Int, type: WireType) {
    let key = try varint()
    guard key >> 3 != 0, key >> 3 < 1 << 29, let type = WireType(rawValue: UInt8(key & 7)) else {
      throw MalformedMessage(reason: "bad tag \(key)")
    }
    return (Int(key >> 3), type)
  }

  /// Where the value at the cursor lies, without a length in front; the cursor moves behind it.
  @inline(__always)
  mutating func value(_ type: WireType) throws(MalformedMessage) -> Range<Int> {
    let start = position
    switch type {
    case .varint:
      _ = try varint()
      return start..<position
    case .fixed64: return try take(8)
    case .fixed32: return try take(4)
    case .length:
      let count = try varint()
      guard count <= UInt64(end - position) else { throw MalformedMessage(reason: "length past the end") }
      return try take(Int(count))
    }
  }

  mutating func fixed32() throws(MalformedMessage) -> UInt32 {
    let range = try take(4)
    return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt32.self))
  }

  mutating func fixed64() throws(MalformedMessage) -> UInt64 {
    let range = try take(8)
    return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt64.self))
  }

  private mutating func take(_ count: Int) throws(MalformedMessage) -> Range<Int> {
    guard count <= end - position else { throw MalformedMessage(reason: "value cut short") }
    defer { position += count }
    return position..<position + count
  }
}
