import Testing

@testable import Schema

/// Descriptor sets written by hand, byte by byte, for what protoc would not write.
@Suite struct DescriptorSetTests {
  private func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
    [number << 3 | 2, UInt8(content.count)] + content
  }

  private func field(_ number: UInt8, _ text: String) -> [UInt8] { field(number, Array(text.utf8)) }

  /// A file `a.proto` of package `a` with message `M` that has one field.
  private func set(fieldParts: [UInt8]) -> [UInt8] {
    let message = field(1, "M") + field(2, fieldParts)
    return field(1, field(1, "a.proto") + field(2, "a") + field(4, message) + field(12, "proto3"))
  }

  @Test("A field has its number, names, kind and cardinality")
  func plainField() throws {
    let set = try DescriptorSet(
      serialized: set(fieldParts: field(1, "day_of") + [0x18, 3, 0x20, 3, 0x28, 5] + field(10, "dayOf")))
    let message = try #require(set.message("a.M"))
    let day = try #require(message.field(number: 3))
    #expect((day.name, day.jsonName) == ("day_of", "dayOf"))
    #expect(day.kind == .int32)
    #expect(day.cardinality == .repeated)
    #expect(day.isPacked)
    #expect(message.field(named: "dayOf")?.number == message.field(named: "day_of")?.number)
    #expect(message.field(number: 4) == nil)
  }

  @Test("A type that is not in the set is an error that names who wants it")
  func missingType() {
    let bytes = set(fieldParts: field(1, "x") + [0x18, 1, 0x20, 1, 0x28, 11] + field(6, ".b.N"))
    #expect(throws: SchemaError("a.M.x: b.N is not in the descriptor set")) {
      try DescriptorSet(serialized: bytes)
    }
  }

  @Test("Groups are refused")
  func group() {
    let bytes = set(fieldParts: field(1, "x") + [0x18, 1, 0x20, 1, 0x28, 10])
    #expect(throws: SchemaError("field x has type 10, which is not supported")) {
      try DescriptorSet(serialized: bytes)
    }
  }

  @Test("A rule nobody knows is refused, so that none is silently not checked")
  func unknownRule() {
    // buf.validate.field {string {prefix: "x"}}
    let rules = field(14, field(7, "x"))
    let option = [0xBA, 0x48, UInt8(rules.count)] + rules
    let bytes = set(fieldParts: field(1, "x") + [0x18, 1, 0x20, 1, 0x28, 9] + field(8, option))
    #expect(throws: SchemaError("rules of field x: buf.validate.StringRules has no field 7 here")) {
      try DescriptorSet(serialized: bytes)
    }
  }

  @Test(
    "Only a string can hold the text of a JSON object",
    arguments: [(UInt8(9), true), (5, false), (12, false)])
  func jsonObject(type: UInt8, isTaken: Bool) throws {
    // mainstreet.options.v1.json_object
    let bytes = set(
      fieldParts: field(1, "x") + [0x18, 1, 0x20, 1, 0x28, type] + field(8, [0xA8, 0xBB, 0x18, 1]))
    let isJSONObject = try? DescriptorSet(serialized: bytes).message("a.M")?.field(number: 1)?.isJSONObject
    #expect(isJSONObject == (isTaken ? true : nil))
  }

  @Test("Every prefix of a set is a set or an error, never a crash")
  func prefixes() throws {
    let bytes = set(fieldParts: field(1, "x") + [0x18, 1, 0x20, 1, 0x28, 9])
    for count in 1..<bytes.count {
      #expect(throws: SchemaError.self) { try DescriptorSet(serialized: Array(bytes[..<count])) }
    }
    #expect(try DescriptorSet(serialized: []).files.isEmpty)
  }
}
