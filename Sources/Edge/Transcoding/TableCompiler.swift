import Schema

/// Compiles descriptors to tables, each type once.
struct TableCompiler {
  private let schema: DescriptorSet
  private var messages: [String: MessageTable] = [:]
  private var enums: [String: EnumTable] = [:]
  /// The types now being compiled, outermost first: one that is met again contains itself.
  private var pending: [String] = []

  init(_ schema: DescriptorSet) {
    self.schema = schema
  }

  /// - Throws: for a type that is recursive, unknown or too large, with its name.
  mutating func message(_ name: String) throws(SchemaError) -> MessageTable {
    if let table = messages[name] { return table }
    guard !pending.contains(name) else { throw SchemaError("\(name) contains itself") }
    guard let descriptor = schema.message(name) else { throw SchemaError("\(name) is not declared") }
    guard descriptor.fields.count <= FieldSet.capacity else {
      throw SchemaError("\(name) has more than \(FieldSet.capacity) fields")
    }
    pending.append(name)
    defer { pending.removeLast() }
    var fields: [FieldTable] = []
    for field in descriptor.fields { fields.append(try compile(field)) }
    let table = MessageTable(name: name, fields: fields)
    messages[name] = table
    return table
  }

  private mutating func compile(_ field: FieldDescriptor) throws(SchemaError) -> FieldTable {
    let kind = try kind(of: field)
    var shape: FieldTable.Shape =
      switch field.cardinality {
      case .implicit: .implicit
      case .explicit: .optional
      case .repeated: .repeated
      }
    if case .message(let name) = field.kind, let entry = schema.message(name), entry.isMapEntry {
      guard entry.field(number: 1)?.kind == .string else {
        throw SchemaError("\(entry.fullName): the keys of a map must be strings, as JSON's are")
      }
      shape = .map
    }
    return FieldTable(field, kind: kind, shape: shape)
  }

  private mutating func kind(of field: FieldDescriptor) throws(SchemaError) -> FieldTable.Kind {
    switch field.kind {
    case .bool: .bool
    case .string: field.isJSONObject ? .jsonObject : .string
    case .bytes: .bytes
    case .float: .float
    case .double: .double
    case .int32: .integer(IntegerFormat(bits: 32, isSigned: true, encoding: .varint))
    case .int64: .integer(IntegerFormat(bits: 64, isSigned: true, encoding: .varint))
    case .uint32: .integer(IntegerFormat(bits: 32, isSigned: false, encoding: .varint))
    case .uint64: .integer(IntegerFormat(bits: 64, isSigned: false, encoding: .varint))
    case .sint32: .integer(IntegerFormat(bits: 32, isSigned: true, encoding: .zigzag))
    case .sint64: .integer(IntegerFormat(bits: 64, isSigned: true, encoding: .zigzag))
    case .fixed32: .integer(IntegerFormat(bits: 32, isSigned: false, encoding: .fixed))
    case .fixed64: .integer(IntegerFormat(bits: 64, isSigned: false, encoding: .fixed))
    case .sfixed32: .integer(IntegerFormat(bits: 32, isSigned: true, encoding: .fixed))
    case .sfixed64: .integer(IntegerFormat(bits: 64, isSigned: true, encoding: .fixed))
    case .message("google.protobuf.Timestamp"): .timestamp
    case .message("google.protobuf.Duration"): .duration
    case .message(let name): .message(try message(name))
    case .enumeration(let name): .enumeration(try enumeration(name))
    }
  }

  private mutating func enumeration(_ name: String) throws(SchemaError) -> EnumTable {
    if let table = enums[name] { return table }
    guard let descriptor = schema.enumeration(name) else { throw SchemaError("\(name) is not declared") }
    let table = EnumTable(descriptor)
    enums[name] = table
    return table
  }
}
