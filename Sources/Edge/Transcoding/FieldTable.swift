import Schema

/// One field of a message type.
final class FieldTable: Sendable {
  enum Shape: Sendable, Hashable {
    /// Written even when zero (proto3's implicit presence).
    case implicit
    /// Left out when unset: submessages, `optional`, members of a oneof.
    case optional
    case repeated
    /// A repeated entry message of key and value.
    case map
  }

  enum Kind: Sendable {
    case bool
    case integer(IntegerFormat)
    case float, double
    case string, bytes
    /// A string that is the text of a JSON object, and stands in JSON as that object.
    case jsonObject
    case enumeration(EnumTable)
    case timestamp, duration
    case message(MessageTable)
  }

  let name: String
  let jsonName: String
  let number: Int
  let kind: Kind
  let shape: Shape
  /// Which oneof of its message it belongs to.
  let oneof: Int?
  /// Absent, the field breaks its rules.
  let isRequired: Bool
  /// Given, it must not be zero, empty or an empty list: `required` on a field without presence.
  let mustNotBeZero: Bool
  /// Of each value.
  let rules: ValueRules?
  /// Of the list of values.
  let listRules: RepeatedRules?
  /// `"jsonName":`
  let key: [UInt8]

  init(
    _ descriptor: FieldDescriptor, kind: Kind, shape: Shape
  ) {
    name = descriptor.name
    jsonName = descriptor.jsonName
    number = descriptor.number
    self.kind = kind
    self.shape = shape
    oneof = descriptor.oneofIndex
    key = Array("\"\(descriptor.jsonName)\":".utf8)
    let isDeclaredRequired = descriptor.rules?.isRequired ?? false
    mustNotBeZero = isDeclaredRequired && shape != .optional
    if case .repeated(let list) = descriptor.rules?.value {
      listRules = list
      rules = list.items?.value
      isRequired = isDeclaredRequired || list.check(count: 0) != nil
    } else {
      listRules = nil
      rules = descriptor.rules?.value
      isRequired = isDeclaredRequired || (shape == .implicit && rules?.refusesZero ?? false)
    }
  }

  /// What a value must be, for people.
  var expectation: String {
    switch kind {
    case .bool: "true or false"
    case .integer(let format): format.expectation
    case .float, .double: "a number"
    case .string, .timestamp, .duration: "a string"
    case .bytes: "a base64 string"
    case .enumeration(let table): "one of \(table.choices)"
    case .message, .jsonObject: "an object"
    }
  }

  /// How one value is framed on the wire.
  var wireType: WireType {
    switch kind {
    case .bool, .enumeration: .varint
    case .integer(let format): format.encoding == .fixed ? (format.bits == 32 ? .fixed32 : .fixed64) : .varint
    case .float: .fixed32
    case .double: .fixed64
    case .string, .bytes, .jsonObject, .timestamp, .duration, .message: .length
    }
  }
}

/// One of protobuf's ten integer types.
struct IntegerFormat: Sendable, Hashable {
  enum Encoding: Sendable { case varint, zigzag, fixed }

  var bits: Int
  var isSigned: Bool
  var encoding: Encoding

  var expectation: String {
    isSigned
      ? "a whole number from -2^\(bits - 1) to 2^\(bits - 1) - 1" : "a whole number from 0 to 2^\(bits) - 1"
  }
}

extension ValueRules {
  /// Whether a scalar left out, which means its zero, breaks the rules.
  fileprivate var refusesZero: Bool {
    switch self {
    case .string(let rules): rules.check("") != nil
    case .bytes(let rules): rules.check(byteCount: 0) != nil
    case .int(let rules): rules.check(0) != nil
    case .uint(let rules): rules.check(0) != nil
    case .double(let rules): rules.check(0) != nil
    case .enumeration, .repeated: false
    }
  }
}
