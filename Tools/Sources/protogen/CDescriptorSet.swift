import Schema

/// The contract as protoc-gen-c 1.4.1 takes it: `optional` spelled as the oneof it is on the wire, strings
/// with a length instead of C strings, and neither services, options nor comments.
enum CDescriptorSet {
  /// - Parameter files: names of the proto files to keep.
  static func rewrite(_ serialized: [UInt8], keeping files: Set<String>) throws(SchemaError) -> [UInt8] {
    var set = WireWriter()
    var reader = WireReader(serialized[...])
    while let file = try reader.next() {
      let (name, rewritten) = try rewriteFile(file.message(), keeping: files)
      if files.contains(name) { set.field(1, rewritten) }
    }
    return set.bytes
  }

  private static func rewriteFile(
    _ reader: WireReader, keeping files: Set<String>
  ) throws(SchemaError) -> (name: String, bytes: [UInt8]) {
    var name = ""
    var file = WireWriter()
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1:
        name = try field.string()
        file.field(field)
      case 3: if files.contains(try field.string()) { file.field(field) }
      case 4: file.field(4, try rewriteMessage(field.message()))
      case 5: file.field(5, try rewriteEnum(field.message()))
      case 6, 7, 8, 9: continue  // services, extensions, options, comments
      case 10, 11: throw SchemaError("\(name): public and weak imports are not supported")
      default: file.field(field)
      }
    }
    return (name, file.bytes)
  }

  private static func rewriteMessage(_ reader: WireReader) throws(SchemaError) -> [UInt8] {
    var message = WireWriter()
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 2: message.field(2, try rewriteField(field.message()))
      case 3: message.field(3, try rewriteMessage(field.message()))
      case 4: message.field(4, try rewriteEnum(field.message()))
      case 5, 6, 7: continue  // extension ranges, extensions, options
      default: message.field(field)
      }
    }
    return message.bytes
  }

  private static func rewriteField(_ reader: WireReader) throws(SchemaError) -> [UInt8] {
    var field = WireWriter()
    var options = WireWriter()
    var scan = reader
    while let part = try scan.next() {
      switch part.number {
      case 5:
        let isString = try part.int() == 9
        // FieldOptions.pb_c_field {string_as_bytes: true}, of protobuf-c/protobuf-c.proto
        if isString { options.field(1019, [0x08, 0x01]) }
        field.field(part)
      case 8:
        var original = try part.message()
        while let option = try original.next() {
          if option.number == 2 { options.field(option) }  // packed
        }
      case 17: continue  // proto3_optional: what is left is a oneof of one
      default: field.field(part)
      }
    }
    if !options.bytes.isEmpty { field.field(8, options.bytes) }
    return field.bytes
  }

  private static func rewriteEnum(_ reader: WireReader) throws(SchemaError) -> [UInt8] {
    var enumeration = WireWriter()
    var scan = reader
    while let field = try scan.next() {
      if field.number != 3 { enumeration.field(field) }
    }
    return enumeration.bytes
  }
}
