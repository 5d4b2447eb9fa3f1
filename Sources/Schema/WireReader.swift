/// Reads the fields of one protobuf message in wire order. Made for descriptors, which are read once
/// at start; requests go through protobuf-c.
///
/// Source: https://protobuf.dev/programming-guides/encoding/
public struct WireReader {
  private var rest: ArraySlice<UInt8>

  public init(_ bytes: ArraySlice<UInt8>) {
    rest = bytes
  }

  /// The next field, or nil at the end of the message.
  public mutating func next() throws(SchemaError) -> WireField? {
    guard !rest.isEmpty else { return nil }
    let tag = try varint()
    guard let number = Int(exactly: tag >> 3), (1..<(1 << 29)).contains(number) else {
      throw SchemaError("field number out of range")
    }
    switch tag & 7 {
    case 0:
      return WireField(number: number, value: .varint(try varint()))
    case 1:
      return WireField(number: number, value: .fixed64(littleEndian(try take(8))))
    case 2:
      guard let length = Int(exactly: try varint()) else { throw SchemaError("field \(number) is too long") }
      return WireField(number: number, value: .bytes(try take(length)))
    case 5:
      return WireField(number: number, value: .fixed32(UInt32(littleEndian(try take(4)))))
    default:
      throw SchemaError("field \(number) has wire type \(tag & 7)")
    }
  }

  /// A varint at the front: of a tag, a length, or an element of a packed list.
  public mutating func varint() throws(SchemaError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while let byte = rest.popFirst() {
      guard shift < 63 || byte <= 1 else { throw SchemaError("varint is longer than 64 bits") }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw SchemaError("message ends inside a varint")
  }

  public var isAtEnd: Bool { rest.isEmpty }

  private mutating func take(_ count: Int) throws(SchemaError) -> ArraySlice<UInt8> {
    guard count <= rest.count else { throw SchemaError("message ends inside a field") }
    defer { rest.removeFirst(count) }
    return rest.prefix(count)
  }

  private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// One field as it stands on the wire.
public struct WireField {
  public enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    case bytes(ArraySlice<UInt8>)
  }

  public let number: Int
  public let value: Value

  public func uint64() throws(SchemaError) -> UInt64 {
    guard case .varint(let value) = value else { throw wrongType("varint") }
    return value
  }

  public func int64() throws(SchemaError) -> Int64 { Int64(bitPattern: try uint64()) }

  public func int() throws(SchemaError) -> Int {
    guard let value = Int(exactly: try int64()) else { throw SchemaError("field \(number) is too large") }
    return value
  }

  public func bool() throws(SchemaError) -> Bool { try uint64() != 0 }

  public func double() throws(SchemaError) -> Double {
    guard case .fixed64(let bits) = value else { throw wrongType("fixed64") }
    return Double(bitPattern: bits)
  }

  public func bytes() throws(SchemaError) -> ArraySlice<UInt8> {
    guard case .bytes(let bytes) = value else { throw wrongType("length-delimited") }
    return bytes
  }

  public func string() throws(SchemaError) -> String {
    guard let text = String(validating: try bytes(), as: UTF8.self) else {
      throw SchemaError("field \(number) is not UTF-8")
    }
    return text
  }

  public func message() throws(SchemaError) -> WireReader { WireReader(try bytes()) }

  private func wrongType(_ expected: String) -> SchemaError {
    SchemaError("field \(number) should be \(expected)")
  }
}
