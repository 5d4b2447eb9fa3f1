import Testing

@testable import Schema

@Suite struct WireReaderTests {
  private func fields(_ bytes: [UInt8]) throws -> [Int] {
    var reader = WireReader(bytes[...])
    var numbers: [Int] = []
    while let field = try reader.next() { numbers.append(field.number) }
    return numbers
  }

  @Test("Fields come in wire order, whatever their type")
  func order() throws {
    let bytes: [UInt8] =
      [0x08, 0x96, 0x01] + [0x15, 1, 2, 3, 4] + [0x1A, 2, 0x68, 0x69] + [0x21, 1, 2, 3, 4, 5, 6, 7, 8]
    #expect(try fields(bytes) == [1, 2, 3, 4])
    var reader = WireReader(bytes[...])
    #expect(try reader.next()?.uint64() == 150)
    #expect(try reader.next()?.value.is(.fixed32(0x0403_0201)) == true)
    #expect(try reader.next()?.string() == "hi")
    #expect(try reader.next()?.value.is(.fixed64(0x0807_0605_0403_0201)) == true)
    #expect(try reader.next() == nil)
  }

  @Test(
    "Bytes that are no message are refused, not read past",
    arguments: [
      [0x80], [0x08], [0x08, 0x80], [0x00, 0x01], [0x0A, 0x05, 0x61], [0x0D, 1, 2, 3],
      [0x09, 1, 2, 3, 4, 5, 6, 7],
      [0x0B], [0x0C], [0x0E], [0x0F], [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
      [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],
      [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
      [0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x00],
    ] as [[UInt8]])
  func malformed(bytes: [UInt8]) {
    #expect(throws: SchemaError.self) { try fields(bytes) }
  }

  @Test("A field read as another type is an error")
  func wrongType() throws {
    var reader = WireReader([0x08, 1, 0x12, 1, 0xFF][...])
    let number = try #require(try reader.next())
    let bytes = try #require(try reader.next())
    #expect(throws: SchemaError("field 1 should be length-delimited")) { try number.bytes() }
    #expect(throws: SchemaError("field 2 should be varint")) { try bytes.uint64() }
    #expect(throws: SchemaError("field 2 is not UTF-8")) { try bytes.string() }
  }
}

extension WireField.Value {
  fileprivate func `is`(_ other: WireField.Value) -> Bool {
    switch (self, other) {
    case (.fixed32(let a), .fixed32(let b)): a == b
    case (.fixed64(let a), .fixed64(let b)): a == b
    default: false
    }
  }
}
