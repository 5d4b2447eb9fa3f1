import Schema

/// How one field looks in Swift and how it crosses to its C struct and back.
struct SwiftField {
  let descriptor: FieldDescriptor
  /// As declared and used: keywords in backticks.
  let name: String
  /// Type of one value: an element when repeated, without `?`.
  let valueType: String
  let cName: String

  init(_ descriptor: FieldDescriptor, _ contract: Contract) {
    self.descriptor = descriptor
    name = escaped(lowerCamel(descriptor.name))
    cName = cFieldName(descriptor)
    valueType =
      switch descriptor.kind {
      case .double: "Double"
      case .float: "Float"
      case .int32, .sint32, .sfixed32: "Int32"
      case .int64, .sint64, .sfixed64: "Int64"
      case .uint32, .fixed32: "UInt32"
      case .uint64, .fixed64: "UInt64"
      case .bool: "Bool"
      case .string: "String"
      case .bytes: "ByteBuffer"
      case .message(let type): contract.set.message(type).map(swiftName) ?? type
      case .enumeration(let type): contract.set.enumeration(type).map(swiftName) ?? type
      }
  }

  /// The declared type.
  var type: String {
    switch descriptor.cardinality {
    case .implicit: valueType
    case .explicit: "\(valueType)?"
    case .repeated: "[\(valueType)]"
    }
  }

  var defaultValue: String {
    switch descriptor.cardinality {
    case .explicit: "nil"
    case .repeated: "[]"
    case .implicit:
      switch descriptor.kind {
      case .bool: "false"
      case .string: "\"\""
      case .bytes: "ByteBuffer()"
      case .enumeration: "\(valueType)(rawValue: 0)"
      default: "0"
      }
    }
  }

  /// Whether an implicit field holds its zero.
  var isZero: String {
    switch descriptor.kind {
    case .bool: "!\(name)"
    case .string: "\(name).isEmpty"
    case .bytes: "\(name).readableBytes == 0"
    case .enumeration: "\(name).rawValue == 0"
    default: "\(name) == 0"
    }
  }

  /// The Swift value of a C value.
  func swiftValue(_ c: String) -> String {
    switch descriptor.kind {
    case .string: "String(\(c))"
    case .bytes: "ByteBuffer(\(c))"
    case .bool: "\(c) != 0"
    case .message: "\(valueType)(message: \(c))"
    case .enumeration: "\(valueType)(rawValue: Int32(bitPattern: \(c).rawValue))"
    default: c
    }
  }

  /// The C value of a Swift value, in memory of the arena.
  func cValue(_ swift: String) -> String {
    switch descriptor.kind {
    case .string, .bytes: "arena.copy(\(swift))"
    case .bool: "\(swift) ? 1 : 0"
    case .message: "arena.message(\(swift))"
    case .enumeration: ".init(rawValue: UInt32(bitPattern: \(swift).rawValue))"
    default: swift
    }
  }
}
