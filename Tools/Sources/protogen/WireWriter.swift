import Schema

/// Writes protobuf fields; the counterpart of Schema's reader.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func field(_ number: Int, _ content: some Collection<UInt8>) {
    varint(UInt64(number) << 3 | 2)
    varint(UInt64(content.count))
    bytes += content
  }

  /// The same field again.
  mutating func field(_ field: WireField) {
    switch field.value {
    case .varint(let value):
      varint(UInt64(field.number) << 3)
      varint(value)
    case .fixed64(let value):
      varint(UInt64(field.number) << 3 | 1)
      withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    case .fixed32(let value):
      varint(UInt64(field.number) << 3 | 5)
      withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    case .bytes(let content):
      self.field(field.number, content)
    }
  }
}
